"""How a command that Hydra configures begins and ends, also where a signal comes before anything else."""

import atexit
import importlib
import os
import signal
import sys
import threading
from typing import NoReturn

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


def start(command: str) -> None:
    """Runs ``cli.<command>``: Ctrl-C ends it in a sentence and exit code 130, SIGTERM in one and 0.

    What has more to keep than it has begun takes SIGTERM over (``app.stop_on_sigterm``).
    """
    before = signal.signal(signal.SIGTERM, _stopped)
    hook, sys.unraisablehook = sys.unraisablehook, _once_more
    try:
        importlib.import_module(f"induced_metric.cli.{command}").main()
    except KeyboardInterrupt:
        say_interrupted()
        _leave()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _leave()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook = hook
        atexit.register(_ignore_signals)


def say_interrupted() -> None:
    """Says what Ctrl-C came to."""
    print("interrupted; run the same command again to continue", file=sys.stderr)


def _stopped(*_: object) -> NoReturn:
    print("stopped; the same command continues")
    raise SystemExit(0)


def _ignore_signals() -> None:
    """Python ends: a signal has nothing left to stop, and must make no failure of what is done."""
    for late in (signal.SIGINT, signal.SIGTERM):
        signal.signal(late, signal.SIG_IGN)


def _once_more(lost: "sys.UnraisableHookArgs") -> None:
    """Sends a signal again that came where Python lets no exception out: in a destructor, in gc."""
    wanted = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}.get(lost.exc_type)
    if wanted is None:
        sys.__unraisablehook__(lost)
        return
    # Later, when that is over.
    again = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, wanted))
    again.daemon = True
    again.start()


def _leave() -> NoReturn:
    """Ends the process at once: Python would wait for threads that compile, and die of the next Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)
