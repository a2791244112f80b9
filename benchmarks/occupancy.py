"""What pruning saves, and how busy it leaves the lanes.

Runs studies of regression trials with Adam as a sweep does, except for the mirror and the view: without a
pruner, with Optuna's successive halving and with the published Hyperband, in one process and one program.
Study k has the same seed under each pruner, so with random search it has the same trials. The pruners take
turns. Compilation is not counted.

Run: python benchmarks/occupancy.py [trials] [studies] [sampler] [pruners...]. For each pruner, it prints
medians and ranges over the studies: lane occupancy until the last trials, from the records (defined in
analysis/progress/occupancy.py); the share of the whole time in which the lanes trained, including the last
trials; wall time; epochs trained; and the best value of a study.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

PRUNERS = ("none", "successive_halving", "wandb_hyperband")
NEEDED = 0.95
HEADINGS = ("occupancy", "whole time", "seconds", "epochs", "best of")
FORMS = (".1%", ".1%", ".3g", "d", ".4g")


class Measured(NamedTuple):
    occupancy: float
    whole: float
    seconds: float
    epochs: int
    best: float


def configured(sampler, pruner):
    import hydra

    conf = str(Path(__file__).parents[1] / "conf")
    with hydra.initialize_config_dir(conf, version_base="1.3"):
        return hydra.compose(
            "sweep", ["task=regression", "optimizer=adam", f"sampler={sampler}", f"pruner={pruner}"]
        )


def plan(cfg, task, trials, seed, provenance):
    import hydra
    from regression import HYPERPARAMETERS

    from induced_metric.records import StudyKey
    from induced_metric.space import Float
    from induced_metric.studies.plan import StudyPlan
    from induced_metric.training.trial import Goal

    searched = [name for name in HYPERPARAMETERS["adam"] if name in cfg.search_space]
    in_flight = [cfg.sampler.get("in_flight"), cfg.pruner.get("in_flight")]
    return StudyPlan(
        key=StudyKey(
            "paper", "regression", "+".join(filter(None, [cfg.sampler.name, cfg.pruner.name])), "adam"
        ),
        search_space={name: Float(**cfg.search_space[name]) for name in searched},
        fixed={"eps": 1e-8},
        goal=Goal.of(task),
        trials=trials,
        seed=seed,
        create_sampler=hydra.utils.instantiate(cfg.sampler.create),
        in_flight=next((number for number in in_flight if number is not None), None),
        pruner=hydra.utils.instantiate(cfg.pruner.create)(),
        rungs=list(cfg.pruner.rungs),
        provenance=provenance,
    )


def measured(plan, lanes):
    """Runs and measures one study."""
    from setups import files

    from induced_metric.analysis.progress.occupancy import occupancy, timed
    from induced_metric.studies.running import run_studies

    with tempfile.TemporaryDirectory() as directory:
        kept = files(directory)
        start = time.perf_counter()
        run_studies([(plan, kept, lambda _: None)], lanes)
        seconds = time.perf_counter() - start
        trials = kept.records.trials()
    places = plan.provenance["lanes"]["places"]
    share = occupancy(timed(trials))
    return Measured(
        occupancy=float("nan") if share is None else share,
        whole=trials["seconds"].sum() / (places * seconds),
        seconds=seconds,
        epochs=int(trials["epochs"].sum()),
        best=trials.loc[~trials["diverged"], "value"].min(),
    )


def words(values, form):
    median = statistics.median(values)
    return f"{median:{form}} ({min(values):{form}} to {max(values):{form}})"


def main():
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    studies = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    sampler = sys.argv[3] if len(sys.argv) > 3 else "random"
    pruners = sys.argv[4:] or PRUNERS
    from induced_metric import xla

    xla.configure()
    from interleave import configured as task_of
    from regression import HYPERPARAMETERS

    import induced_metric
    from induced_metric.lanes.facts import lane_facts
    from induced_metric.training.program import TrialProgram

    task = task_of("regression")
    by_pruner = {pruner: [] for pruner in pruners}
    with TrialProgram(task, induced_metric.adam, HYPERPARAMETERS["adam"]).lanes() as lanes:
        for seed in range(studies):
            for pruner in pruners:
                cfg = configured(sampler, pruner)
                by_pruner[pruner].append(measured(plan(cfg, task, trials, seed, lane_facts(lanes)), lanes))
    print(f"{studies} studies of {trials} trials each, {sampler}: medians (and ranges)")
    headings = [*HEADINGS[:-1], f"{HEADINGS[-1]} {trials}"]
    print(f"{'':20}" + "".join(f"{heading:>32}" for heading in headings))
    for pruner, each in by_pruner.items():
        cells = [words(column, form) for column, form in zip(zip(*each, strict=True), FORMS, strict=True)]
        print(f"{pruner:20}" + "".join(f"{cell:>32}" for cell in cells))
    medians = {pruner: statistics.median(one.occupancy for one in each) for pruner, each in by_pruner.items()}
    short = [pruner for pruner, median in medians.items() if not median >= NEEDED]
    print(f"below {NEEDED:.0%} until the last trials: {', '.join(short) or 'none'}")


if __name__ == "__main__":
    main()
