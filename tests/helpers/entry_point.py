"""Entry points as a person runs them, on synthetic data, and killed at a chosen call.

python tests/helpers/entry_point.py '{"script": "train.py",
                              "runs": [["task=mnist"], ["task=mnist", "seed=1"]],
                              "sizes": {"mnist": {"train": 100, "test": 50}},
                              "kill": ["induced_metric.cli.views:TrialBar.update", 3]}'

runs the script with one list of arguments after the other. ``kill`` is for the last of them: SIGKILL comes at
the n-th call of what is named. ``sizes`` takes data sets of so many examples for the released ones.
"""

import importlib
import json
import os
import runpy
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def use(sizes):
    """Takes prepared data sets of other sizes, under ``TFDS_DATA_DIR``, for the released ones."""
    from induced_metric.data.releases import RELEASES

    for name, examples in sizes.items():
        labels = {split: (count // 10,) * 10 for split, count in examples.items()}
        RELEASES[name] = RELEASES[name]._replace(examples=examples, labels=labels, digests={})


def die_at(path, number):
    """Has this process kill itself at a call of a function or method."""
    module, _, name = path.partition(":")
    *owners, attribute = name.split(".")
    owner = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    original, calls = getattr(owner, attribute), []

    def counted(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, attribute, counted)


def main(script, runs, sizes=None, kill=None):
    use(sizes or {})
    for number, arguments in enumerate(runs, start=1):
        if kill and number == len(runs):
            die_at(*kill)
        sys.argv = [script, *arguments]
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
