"""What a study costs beside its training: proposals, journal, records.

The same number of regression trials with Adam, once on the lanes alone and once as studies with each sampler,
which write their records to a directory that is removed. Compilation is not counted.

Run: python benchmarks/study.py [trials] [rounds] [samplers...]. Medians over the rounds, in which all take
turns.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

from interleave import configured, interleave, serve, serve_lanes
from regression import HYPERPARAMETERS

SAMPLERS = ("random", "tpe", "tpe_optuna4", "wandb_bayes")


def study(requests, sampler, trials):
    """As sweeps/sweep.py runs it, but for the mirror and the view."""
    from induced_metric import xla

    xla.configure()
    import hydra

    import induced_metric
    from induced_metric.records import RecordStore, StudyKey
    from induced_metric.space import Float
    from induced_metric.studies.journal import JournalStorage
    from induced_metric.studies.plan import StudyPlan
    from induced_metric.studies.running import run_studies
    from induced_metric.studies.storage import StudyFiles
    from induced_metric.training.checkpoints import Checkpoints
    from induced_metric.training.trial import Goal, trial_lanes

    with hydra.initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
        cfg = hydra.compose("sweep", ["task=regression", "optimizer=adam", f"sampler={sampler}"])
    space = {
        name: Float(**cfg.search_space[name]) for name in HYPERPARAMETERS["adam"] if name in cfg.search_space
    }
    regression, optimizer = configured("regression"), induced_metric.adam
    plan = StudyPlan(
        key=StudyKey("paper", "regression", sampler, "adam"), search_space=space,
        fixed={"eps": 1e-8}, goal=Goal.of(regression),
        trials=trials, seed=0, create_sampler=hydra.utils.instantiate(cfg.sampler.create),
        in_flight=cfg.sampler.in_flight,
    )  # fmt: skip
    hyperparameters = dict.fromkeys([*space, "eps"], 0.5)
    with trial_lanes(regression, optimizer, hyperparameters) as lanes:

        def work():
            with tempfile.TemporaryDirectory() as directory:
                files = StudyFiles(
                    storage=JournalStorage(Path(directory, "journal")),
                    records=RecordStore(Path(directory, "records")),
                    checkpoints=Checkpoints(Path(directory, "checkpoints")),
                )
                run_studies([(plan, files, lambda _: None)], lanes)

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
    print(f"{f'seconds a trial of {trials}, median of {rounds}':40} {'':>8} {'to lanes':>9}")
    for side, seconds in medians.items():
        print(f"{side:40} {seconds:8.4f} {seconds / medians['lanes']:8.2f}x")


if __name__ == "__main__":
    main()
