"""Seconds of a whole command that trains one epoch: python benchmarks/startup.py [runs].

The first run fills the cache of compiled programs; the median of the others is printed.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAIN = Path(__file__).parents[1] / "train.py"


def main():
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for tracking in ("offline", "disabled"):
        seconds = []
        for _ in range(runs + 1):
            with tempfile.TemporaryDirectory() as results:
                start = time.perf_counter()
                subprocess.run(
                    [sys.executable, TRAIN, "task=regression", "task.epochs=1", f"tracking={tracking}",
                     f"results={results}"],
                    check=True, capture_output=True,
                )  # fmt: skip
                seconds.append(time.perf_counter() - start)
        print(
            f"train.py task=regression task.epochs=1 tracking={tracking}: whole command, median of {runs}, "
            f"{statistics.median(seconds[1:]):.2f} s with a warm cache; first run {seconds[0]:.2f} s"
        )


if __name__ == "__main__":
    main()
