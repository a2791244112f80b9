"""Keeps workers running: starts commands as child processes, and restarts those that are killed."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO, Self

from pydantic import Field

from induced_metric.cli import child, entry
from induced_metric.errors import UserError

_LOOK_EVERY_SECONDS = 0.1
_LISTEN_SECONDS = 30.0  # for workers to stop in order when their supervisor fails
# Signals that may end a worker that is told to stop before it handles them.
_STOPS = (-signal.SIGTERM, -signal.SIGUSR1, -signal.SIGUSR2)


@dataclass(frozen=True, kw_only=True)
class Restarts:
    """When a worker that was killed is started again.

    Attributes:
        restarts: the largest number of restarts.
        pause: seconds before the first restart; each further restart waits twice as long.
        longest_pause: the longest pause, in seconds. If a worker ran for longer than this, its restarts are
            counted from the beginning again.
    """

    restarts: Annotated[int, Field(ge=0)]
    pause: Annotated[float, Field(ge=0)]
    longest_pause: Annotated[float, Field(ge=0)]

    def pause_of(self, number: int) -> float:
        """Seconds before restart ``number``, the first of which is 1."""
        return min(self.pause * 2.0 ** min(number - 1, 64), self.longest_pause)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One command to keep running.

    Attributes:
        name: its name, the same after a restart.
        command: the command with its arguments.
        log: the file to which the command's output is appended.
        cores: the only cores on which it may run; if empty, those on which this process may run.
        environment: variables in addition to those of this process.
    """

    name: str
    command: Sequence[str]
    log: Path
    cores: frozenset[int] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)


class _Kept:
    """A worker and its process.

    Attributes:
        process: the process, while it runs.
        due: when it is to be started, on the monotonic clock; None if it is not.
        killed: how often in a row it was killed, or ended by what may pass.
        failed: whether it ended with an error.
    """

    def __init__(self, worker: Worker, log: BinaryIO) -> None:
        self.worker, self.log = worker, log
        self.process: subprocess.Popen[bytes] | None = None
        self.due: float | None = 0.0
        self.killed = 0
        self.failed = False
        self.begun = 0.0
        self._offset = 0

    def start(self) -> None:
        """Starts its process, which stops in an orderly way if this one dies."""
        self.due, self.begun = None, time.monotonic()
        self._offset = self.log.seek(0, os.SEEK_END)
        cores = ",".join(map(str, sorted(self.worker.cores)))
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", child.__file__, cores, *self.worker.command],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.worker.environment},
            # Only the process at the terminal gets Ctrl-C; it sends SIGTERM to the workers.
            start_new_session=True,
        )

    def last_line(self) -> str:
        """The last line that its process printed."""
        with self.worker.log.open("rb") as log:
            log.seek(self._offset)
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        return next(filter(None, reversed(lines)), "")


class Supervisor:
    """Runs workers until each has ended. Use it as a context manager.

    Args:
        workers: the workers; no two share a name or a log.
        restarts: when a worker that was killed, or exited with ``entry.PASSING``, is started again.
        exclusive: refuse a worker whose log another process on this machine is writing. The lock is on the
            open log, which the worker inherits, so it is released when both processes have ended.
        say: prints a line.

    Raises:
        UserError: if a log cannot be written, or another process is writing it.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        restarts: Restarts,
        *,
        exclusive: bool = True,
        say: Callable[[str], None] = print,
    ) -> None:
        self._restarts, self._line = restarts, say
        self._files = contextlib.ExitStack()
        self._refused = False
        try:
            self._children = [_Kept(worker, self._log(worker, exclusive)) for worker in workers]
        except BaseException:
            self._files.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the processes that still run, and kills those that do not listen."""
        self._send(signal.SIGTERM)
        until = time.monotonic() + _LISTEN_SECONDS
        for kept in self._children:
            if kept.process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    kept.process.wait(max(0.0, until - time.monotonic()))
        self._send(signal.SIGKILL)
        for kept in self._children:
            if kept.process:
                kept.process.wait()
        self._files.close()

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more, or the disk is full: the workers go on
            self._line(line)

    def _log(self, worker: Worker, exclusive: bool) -> BinaryIO:
        try:
            worker.log.parent.mkdir(parents=True, exist_ok=True)
            log = self._files.enter_context(worker.log.open("ab"))
        except OSError as error:
            raise UserError(f"the log {worker.log} cannot be written ({error.strerror})") from error
        if exclusive:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"worker {worker.name} is already running: another process is writing {worker.log}; "
                    "end that one, or give these workers other names with launcher.prefix"
                ) from error
            except OSError:
                pass  # the file system has no locks: the user must then keep names apart
        return log

    def run(self, came: Sequence[int] = ()) -> int:
        """Starts the workers and waits until all have ended.

        Args:
            came: the signals received so far. Once there is one, every worker gets SIGTERM and none is
                started again; a second Ctrl-C kills those that still run.

        Returns:
            2 if a worker exited with 2, whose last line is then shown as the error; otherwise 1 if one
            failed, and 0 if none did.
        """
        stopping = False
        while any(kept.process or kept.due is not None for kept in self._children):
            if (came or self._refused) and not stopping:
                stopping = True
                self._send(signal.SIGTERM)
                for kept in self._children:
                    kept.due = None
            if list(came).count(signal.SIGINT) > 1:
                self._send(signal.SIGKILL)
            for kept in self._children:
                if kept.due is not None and time.monotonic() >= kept.due:
                    kept.start()
                    if not kept.killed:
                        self._say(f"worker {kept.worker.name} started, log {kept.worker.log}")
                elif kept.process and (code := kept.process.poll()) is not None:
                    kept.process = None
                    self._ended(kept, code, stopping)
            time.sleep(_LOOK_EVERY_SECONDS)
        return 2 if self._refused else int(any(kept.failed for kept in self._children))

    def _send(self, number: int) -> None:
        for kept in self._children:
            if kept.process:
                kept.process.send_signal(number)

    def _ended(self, kept: _Kept, code: int, stopping: bool) -> None:
        """Reports how a worker ended, and decides whether it is started again."""
        name = kept.worker.name
        if code == 0 or (stopping and code in _STOPS):
            self._say(f"worker {name} {'stopped' if stopping else 'finished'}")
        elif code == 2 and not self._refused:
            self._refused = True
            print(kept.last_line(), file=sys.stderr, flush=True)
            self._say(f"worker {name} refused to run; the others are stopped")
        elif (code > 0 and code != entry.PASSING) or stopping:
            kept.failed = True
            how = f"ended with exit code {code}" if code > 0 else f"was killed by {_signal(-code)}"
            self._say(f"worker {name} {how}: {kept.last_line()}")
        else:
            lived = time.monotonic() - kept.begun
            # Not so after what may pass: it can take long to notice, and may never pass.
            kept.killed = 1 if code < 0 and lived > self._restarts.longest_pause else kept.killed + 1
            how = f"was killed by {_signal(-code)}" if code < 0 else f"ended ({kept.last_line()})"
            killed = f"worker {name} {how}"
            if kept.killed > self._restarts.restarts:
                kept.failed = True
                self._say(f"{killed}, and not started again after {self._restarts.restarts} restarts")
                return
            pause = self._restarts.pause_of(kept.killed)
            kept.due = time.monotonic() + pause
            self._say(f"{killed}; started again in {pause:g} s ({kept.killed} of {self._restarts.restarts})")


def _signal(number: int) -> str:
    return f"signal {number} ({signal.strsignal(number)})"


@contextlib.contextmanager
def noted(*numbers: int) -> Iterator[list[int]]:
    """Within this context, these signals are only added to the list; an ignored one stays ignored."""
    came: list[int] = []
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in heard}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
