"""How a command that Hydra configures starts and ends, even if a signal arrives before anything else."""

import atexit
import contextlib
import importlib
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130
"""The exit code after Ctrl-C."""
PASSING = 75
"""The exit code of what may be over when the same command runs again (``EX_TEMPFAIL`` of sysexits.h)."""
_SAID = {  # descriptor, exit code, sentence
    signal.SIGINT: (2, INTERRUPTED, "interrupted; run the same command again to continue"),
    signal.SIGTERM: (1, 0, "stopped; the same command continues"),
}
_SHOW_CURSOR = "\x1b[?25h"  # a live view hides the cursor


def start(command: str) -> None:
    """Runs ``cli.<command>``. Ctrl-C ends it with a sentence and exit code 130, SIGTERM with one and 0.

    Both end the process at once, without an exception: an exception raised in a signal handler could strike
    anywhere, and neither JAX's C++ code nor Hydra's parsers can handle that at every point. A command that
    has work under way to keep takes the signals over (``app.stop_in_order``). A killed command loses no
    record.
    """
    import_from_here()
    before = {number: signal.getsignal(number) for number in _SAID}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # a shell makes background jobs ignore Ctrl-C
            signal.signal(number, end_at_once)
    try:
        importlib.import_module(f"induced_metric.cli.{command}").main()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            leave(INTERRUPTED)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        atexit.register(_ignore_signals)


def import_from_here() -> None:
    """Lets a ``_target_`` name a module in the working directory, whichever script was started.

    The directory comes last on the path, so that a module there hides no other.
    """
    if not sys.flags.safe_path and (directory := os.getcwd()) not in sys.path:
        sys.path.append(directory)


def say_interrupted() -> None:
    """Prints the sentence for Ctrl-C."""
    _, _, sentence = _SAID[signal.SIGINT]
    print(sentence, file=sys.stderr)


def end_at_once(number: int, _: object) -> NoReturn:
    """A signal handler that prints the signal's sentence and ends the process immediately."""
    descriptor, code, sentence = _SAID[signal.Signals(number)]
    _flush()
    say_now(descriptor, sentence, _SHOW_CURSOR)
    leave(code)


def say_now(descriptor: int, sentence: str, control: str = "") -> None:
    """Prints from a signal handler, when the stream itself may be in the middle of a line.

    Args:
        descriptor: the file descriptor, 1 or 2.
        sentence: printed on a line of its own.
        control: a control sequence, printed first if the output is a terminal.
    """
    with contextlib.suppress(OSError):
        before = f"{control}\n" if os.isatty(descriptor) else ""
        os.write(descriptor, f"{before}{sentence}\n".encode())


def _ignore_signals() -> None:
    """Ignores signals while Python exits: a late one must not turn a finished run into a failure."""
    for late in _SAID:
        signal.signal(late, signal.SIG_IGN)


def leave(code: int) -> NoReturn:
    """Ends the process at once: a normal exit waits for compiling threads, where a Ctrl-C would kill it."""
    _ignore_signals()
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, RuntimeError):  # closed, or interrupted in the middle of a line
            stream.flush()
