"""The processes of accelerator.py: those that make results, with a time limit, and one for each trial."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

AN_ERROR = re.compile(r"[\w.]+(Error|Exception|Exit)\b")  # how the last line of a traceback begins


def run(command, whats, *, end, limit):
    """Yields (what, result) as a process prints them, and a failure for each result that it does not reach.

    Args:
        command: prints a line of JSON, ``{what: result}``, for each result; it may print others before.
        whats: the results that it should make.
        end: the end of the whole run on the monotonic clock; results missing then are not failures.
        limit: seconds without a result that count as a failure.
    """
    why, missing, since = "", list(whats), time.monotonic()
    with _group(command) as (child, output):
        while missing:
            try:
                line, is_result = output.get(timeout=max(0.0, min(end, since + limit) - time.monotonic()))
            except queue.Empty:
                if time.monotonic() >= end:
                    return
                why = f"no result within {limit / 60:.3g} minutes"
                break
            if line is None:
                code = child.wait()
                why = f"ended by {signal.Signals(-code).name}" if code < 0 else why
                break
            if is_result:
                ((what, found),) = json.loads(line).items()
                missing = [other for other in missing if other != what]
                since = time.monotonic()
                yield what, found
            else:
                sys.stderr.write(line)
                if line.strip() and (AN_ERROR.match(line) or not AN_ERROR.match(why)):
                    why = line.strip()
    yield from ((what, {"failed": (why or "it ended without a message")[:300]}) for what in missing)


@contextlib.contextmanager
def _group(command):
    """A process with its own session, and the queue of (line, whether on stdout), which ends with None."""
    output = queue.SimpleQueue()

    def read(child):
        error = threading.Thread(
            target=lambda: [output.put((line, False)) for line in child.stderr], daemon=True
        )
        error.start()
        for line in child.stdout:
            output.put((line, True))
        error.join()
        output.put((None, False))

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        subprocess.Popen(
            command, env=os.environ | {"TMPDIR": scratch}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as child,
    ):  # fmt: skip
        reader = threading.Thread(target=read, args=(child,), daemon=True)
        reader.start()
        try:
            yield child, output
        finally:
            # If only the process itself were killed, its children would keep using the card.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            reader.join()  # before the pipes are closed


def process(command, *, seconds):
    """(c) A process for each trial, which starts JAX, reads its program from the cache, and trains as in (b).

    Args:
        command: a process that measures ``plain`` for the seconds in its last argument, and prints the result
            of ``measured``, so that a slow start does not shorten the measurement.
        seconds: how long to measure.

    Returns:
        The result of ``measured``, with the time that a trial takes besides its epochs as ``start_seconds``.
    """

    def run(seconds, cache):
        start = time.perf_counter()
        done = subprocess.run(
            [*command, str(seconds)], env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        took = time.perf_counter() - start
        sys.stderr.write(done.stderr)
        if done.returncode:
            output = [line for line in done.stderr.splitlines() if line.strip()]
            raise RuntimeError(f"a trial's process failed: {output[-1] if output else done.returncode}")
        found = json.loads(done.stdout.splitlines()[-1])
        timed = found["first_epoch_seconds"]
        if found["epochs_measured"] > 1:
            timed += found["seconds_measured"]
        # Plain compiles by training an epoch that is not timed; it counts as the trial's first.
        return took - timed - found["seconds_per_trial_epoch"], found

    with tempfile.TemporaryDirectory() as cache:
        cold, _ = run(0.0, cache)  # fills the cache
        start, found = run(seconds, cache)
    return {**found, "compile_seconds": max(0.0, cold - start), "start_seconds": start}
