"""What a study costs in addition to its training: proposals, journal, records.

Runs the same number of regression trials with Adam on the lanes alone, and as a study with each sampler. The
studies write their records to a directory that is then removed. Compilation is not counted.

Run: python benchmarks/study.py [trials] [rounds] [samplers...]. Figures are medians over the rounds, in which
all sides take turns.
"""

import sys
import tempfile
from functools import partial

from interleave import configured, interleave, serve, serve_lanes
from regression import HYPERPARAMETERS

SAMPLERS = ("random", "tpe", "tpe_optuna4", "wandb_bayes")


def study(requests, sampler, trials):
    """A study as sweeps/sweep.py runs it, without the mirror and the view."""
    from induced_metric import xla

    xla.configure()
    from setups import files, regression_study

    from induced_metric.studies.running import run_studies

    plan, lanes = regression_study(sampler, trials)
    with lanes:

        def work():
            with tempfile.TemporaryDirectory() as directory:
                run_studies([(plan, files(directory), lambda _: None)], lanes)

        serve(requests, work, units=trials)


def main():
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    samplers = sys.argv[3:] or SAMPLERS
    lanes = partial(
        serve_lanes,
        make_task=partial(configured, "regression"),
        optimizer_name="adam",
        hyperparameters=HYPERPARAMETERS["adam"],
    )
    sides = {"lanes": partial(lanes, trials=trials, epochs=200, units=trials)} | {
        sampler: partial(study, sampler=sampler, trials=trials) for sampler in samplers
    }
    medians = {side: measured.median for side, measured in interleave(sides, rounds=rounds).items()}
    print(f"{f'seconds per trial of {trials}, median of {rounds}':40} {'':>8} {'to lanes':>9}")
    for side, seconds in medians.items():
        print(f"{side:40} {seconds:8.4f} {seconds / medians['lanes']:8.2f}x")


if __name__ == "__main__":
    main()
