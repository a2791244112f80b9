"""``induced-metric dashboard``: serves Optuna's dashboard on the records, to this machine only."""

import argparse
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from induced_metric.cli import arguments as common
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.studies.browsing import Browsed

HOST = "127.0.0.1"  # local only, since the dashboard has no authentication
_REFRESH_SECONDS = 5.0


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a browser keeps idle connections open


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Logs no request."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the studies to serve, and the port."""
    common.watched(parser)
    common.results(parser)
    parser.add_argument(
        "--port", type=int, default=8080, help="on 127.0.0.1; 0: any free port (default: 8080)"
    )


def run(results: Path, *, port: int, task: str | None, protocol: str | None) -> None:
    """Serves the dashboard until it is interrupted.

    Args:
        results: the results directory.
        port: the local port, reachable from this machine only; 0 picks a free one.
        task: serve only the studies of this task.
        protocol: serve only the studies under this protocol.

    Raises:
        UserError: if there are no records, or the port is taken.
    """
    from induced_metric.studies.browsing import Browsed

    common.check_known(results, task=task, protocol=protocol)
    browsed = Browsed(results, task=task, protocol=protocol)
    trials = browsed.refresh()
    if not trials:
        raise UserError(f"there are no records of a study in {results}")
    try:
        server = make_server(HOST, port, application(browsed), _Server, _Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", "it must be 0-65535")
        raise UserError(
            f"port {port} cannot be used ({reason}): choose another with --port or PORT="
        ) from error
    with server:
        sys.stdout.write(
            f"{trials} trials of {results}: http://{HOST}:{server.server_port}/ (Ctrl-C ends it)\n"
        )
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def application(
    browsed: "Browsed", clock: Callable[[], float] = time.monotonic
) -> Callable[..., Iterable[bytes]]:
    """The dashboard as a WSGI application. API requests look for new records, at most every few seconds."""
    from optuna_dashboard import wsgi

    serve: Any = wsgi(browsed.storage)
    looked, looking = clock(), threading.Lock()

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        nonlocal looked
        if environ.get("PATH_INFO", "").startswith("/api/"):
            with looking:
                if clock() - looked > _REFRESH_SECONDS:
                    browsed.refresh()
                    looked = clock()
        answered: Iterable[bytes] = serve(environ, start_response)
        return answered

    return answer
