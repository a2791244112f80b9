"""What accelerator.py starts: processes that make results, watched and ended in time, and one for a trial."""

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

AN_ERROR = re.compile(r"[\w.]+(Error|Exception|Exit)\b")  # as the end of a traceback begins


def run(command, whats, *, end, limit):
    """Yields (what, result) as a process prints them, and a failure for each that it does not come to.

    Args:
        command: prints a line of JSON, ``{what: result}``, for each result; other results come before.
        whats: the results that it is to make.
        end: of all, by the monotonic clock; what is missing then is no failure.
        limit: seconds without a result that are a failure.
    """
    why, left, since = "", list(whats), time.monotonic()
    with _group(command) as (child, said):
        while left:
            try:
                line, is_result = said.get(timeout=max(0.0, min(end, since + limit) - time.monotonic()))
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
                left = [other for other in left if other != what]
                since = time.monotonic()
                yield what, found
            else:
                sys.stderr.write(line)
                if line.strip() and (AN_ERROR.match(line) or not AN_ERROR.match(why)):
                    why = line.strip()
    yield from ((what, {"failed": (why or "it ended without a word")[:300]}) for what in left)


@contextlib.contextmanager
def _group(command):
    """A process with a session of its own, and the queue of its (line, whether on stdout), at last None."""
    said = queue.SimpleQueue()

    def read(child):
        error = threading.Thread(
            target=lambda: [said.put((line, False)) for line in child.stderr], daemon=True
        )
        error.start()
        for line in child.stdout:
            said.put((line, True))
        error.join()
        said.put((None, False))

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as its,
        subprocess.Popen(
            command, env=os.environ | {"TMPDIR": its}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as child,
    ):  # fmt: skip
        reader = threading.Thread(target=read, args=(child,), daemon=True)
        reader.start()
        try:
            yield child, said
        finally:
            # What it started would stay on the card, where it is ended alone.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            reader.join()  # before the pipes are closed


def process(command, *, seconds):
    """(c) A process for each trial, which starts JAX, reads its program from the cache, and does as (b).

    Args:
        command: of a process that measures ``plain`` for the seconds that its last argument says, and prints
            what ``measured`` found. So one that takes long to start tells as much as another.
        seconds: to measure for.

    Returns:
        As ``measured``, with what a trial takes besides its epochs as ``start_seconds``.
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
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise RuntimeError(f"a trial's process failed: {said[-1] if said else done.returncode}")
        found = json.loads(done.stdout.splitlines()[-1])
        timed = found["first_epoch_seconds"]
        if found["epochs_measured"] > 1:
            timed += found["seconds_measured"]
        # Plain compiles by an epoch, which is not timed: the first of the trial.
        return took - timed - found["seconds_per_trial_epoch"], found

    with tempfile.TemporaryDirectory() as cache:
        cold, _ = run(0.0, cache)  # fills the cache
        start, found = run(seconds, cache)
    return {**found, "compile_seconds": max(0.0, cold - start), "start_seconds": start}
