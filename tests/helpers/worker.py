"""A stand-in for a worker: says what it was started with, then does what its first argument says.

python worker.py <wait|done|refuse|crash|die|once|full|away|deaf> <file> [name=value ...]

``wait`` ends when the file is there, or in order at SIGTERM; ``once`` dies when the file is not there;
``full`` then says that the disk is full, and exits as for what may pass; ``away`` always does.
"""

import os
import signal
import sys
import time
from pathlib import Path

todo, file = sys.argv[1], Path(sys.argv[2])
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
address = len(os.environ.get("INDUCED_METRIC_STORAGE", ""))
cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
print("begun", *sys.argv[3:], f"cores={cores} address={address} pid={os.getpid()}", flush=True)
match todo:
    case "wait":
        while not stopped and not file.exists():
            time.sleep(0.01)
        time.sleep(0.5 if stopped else 0)  # the epochs under way
        print("stopped; the same command continues" if stopped else "all studies have their trials")
    case "deaf":
        time.sleep(60)
    case "refuse":
        print("some words before")
        print("worker.py: optimizer.xi must be a number, got 'abc'", file=sys.stderr)
        sys.exit(2)
    case "crash":
        raise RuntimeError("the disk is full")
    case "die":
        os.kill(os.getpid(), signal.SIGKILL)
    case "full" if not file.exists():
        file.touch()
        print("worker.py: the disk is full", file=sys.stderr)
        sys.exit(75)
    case "away":
        print("worker.py: the disk is away", file=sys.stderr)
        sys.exit(75)
    case "once" if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
