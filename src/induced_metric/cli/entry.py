"""How a command that Hydra configures begins and ends, also where a signal comes before anything else."""

import atexit
import contextlib
import importlib
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130
"""The exit code after Ctrl-C."""
_SAID = {  # descriptor, exit code, sentence
    signal.SIGINT: (2, INTERRUPTED, "interrupted; run the same command again to continue"),
    signal.SIGTERM: (1, 0, "stopped; the same command continues"),
}
_SHOW_CURSOR = "\x1b[?25h"  # a live view hides it


def start(command: str) -> None:
    """Runs ``cli.<command>``: Ctrl-C ends it in a sentence and exit code 130, SIGTERM in one and 0.

    Both at once: an exception out of a handler would come in the middle of anything, and neither the C++ of
    JAX nor the parsers of Hydra bear one everywhere. What has more to keep than it has begun takes the
    signals over (``app.stop_in_order``); what is killed instead loses no record.
    """
    import_from_here()
    before = {number: signal.getsignal(number) for number in _SAID}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as a shell has Ctrl-C ignored for a job in the background
            signal.signal(number, end_at_once)
    try:
        importlib.import_module(f"induced_metric.cli.{command}").main()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _leave(INTERRUPTED)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        atexit.register(_ignore_signals)


def import_from_here() -> None:
    """Lets a ``_target_`` name a module of the working directory, whichever script was started.

    That comes last, so that a module there hides no other.
    """
    if not sys.flags.safe_path and (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


def say_interrupted() -> None:
    """Says what Ctrl-C came to."""
    _, _, sentence = _SAID[signal.SIGINT]
    print(sentence, file=sys.stderr)


def end_at_once(number: int, _: object) -> NoReturn:
    """A handler: says what came, and ends the process there."""
    descriptor, code, sentence = _SAID[signal.Signals(number)]
    _flush()
    say_now(descriptor, sentence, _SHOW_CURSOR)
    _leave(code)


def say_now(descriptor: int, sentence: str, control: str = "") -> None:
    """Says something in a handler, where the stream itself may be in the middle of a line.

    Args:
        descriptor: 1 or 2.
        sentence: said on a line of its own.
        control: for a terminal.
    """
    with contextlib.suppress(OSError):
        before = f"{control}\n" if os.isatty(descriptor) else ""
        os.write(descriptor, f"{before}{sentence}\n".encode())


def _ignore_signals() -> None:
    """Python ends: a signal has nothing left to stop, and must make no failure of what is done."""
    for late in _SAID:
        signal.signal(late, signal.SIG_IGN)


def _leave(code: int) -> NoReturn:
    """Ends the process at once: Python would wait for threads that compile, and die of the next Ctrl-C."""
    _ignore_signals()
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, RuntimeError):  # closed, or in the middle of a line
            stream.flush()
