"""Every configuration composes, is the published one where it claims to be, and can be run."""

import csv
import re
from pathlib import Path

import hydra
import numpy as np
import optuna
import pytest
import yaml
from omegaconf import OmegaConf
from optuna.trial import TrialState

from induced_metric.cli import build, spaces, train, values
from induced_metric.cli.factories import Factory
from induced_metric.errors import UserError
from induced_metric.space import Choice, Float

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "src" / "induced_metric" / "records" / "paper"
OPTIMIZERS = sorted(path.stem for path in (values.CONF / "optimizer").glob("*.yaml"))
TASKS = sorted(path.stem for path in (values.CONF / "task").glob("*.yaml"))
SAMPLERS = sorted(path.stem for path in (values.CONF / "sampler").glob("*.yaml"))
PRUNERS = sorted(path.stem for path in (values.CONF / "pruner").glob("*.yaml"))
SCHEDULES = sorted(path.stem for path in (values.CONF / "schedule").glob("*.yaml"))
PAIRINGS = sorted(path.stem for path in (values.CONF / "pairing").glob("*.yaml"))
FEW_PAIRINGS = [
    pytest.param(name, marks=[pytest.mark.exhaustive] * (not name.startswith("regression")))
    for name in PAIRINGS
]
BEST_VALUES = {
    f"{row['task']}_{row['optimizer']}": float(row["best_metric"])
    for row in csv.DictReader((PAPER / "tables.csv").read_text().splitlines())
}


def compose(*overrides, config="config"):
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        return hydra.compose(config, list(overrides))


def published_spaces():
    """search_spaces.yaml with U(low, high) and LU(low, high) read as (low, high, log)."""
    text = (PAPER / "search_spaces.yaml").read_text()
    ranges = re.sub(r"(L?)U\((\S+), (\S+)\)", r"[\2, \3, '\1']", text)
    return yaml.safe_load(ranges)


def as_range(triple):
    low, high, log = triple
    return Float(float(low), float(high), log == "L")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_named_after_its_file_and_can_be_made(name):
    cfg = compose(f"optimizer={name}")
    assert cfg.optimizer.name == name
    factory = Factory.of(OmegaConf.to_container(cfg.optimizer), "optimizer")
    assert hasattr(factory(**factory.numbers), "update")


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_named_after_its_file_and_its_numbers_are_hyperparameters(name):
    cfg = compose(f"schedule={name}")
    assert cfg.schedule.name == name
    pairing = build.pairing(cfg)
    numbers = {
        f"schedule.{key}": value for key, value in cfg.schedule.items() if key not in ("name", "_target_")
    }
    found = {key: value for key, value in pairing.hyperparameters.items() if key.startswith("schedule.")}
    assert found == numbers
    if pairing.schedule is not None:
        assert callable(pairing.schedule(0.1, 10, **pairing.schedule.numbers))


def test_the_embedding_of_an_optimizer_can_be_searched_by_its_name():
    pairing = build.pairing(
        compose("optimizer=adamw_metric", "+search_space.embedding.height={choices: [log, sqrt]}")
    )
    assert pairing.search_space["embedding.height"] == Choice(("log", "sqrt"), static=True)
    assert pairing.hyperparameters["embedding.height"] == "identity"
    for height in pairing.search_space["embedding.height"].choices:
        numbers = {**pairing.hyperparameters, "embedding.height": height}
        optimizer = pairing.optimizer(**numbers)
        with pytest.raises(ValueError, match="value=loss"):  # unlike the identity, both need it
            optimizer.update(np.ones(2), optimizer.init(np.ones(2)), np.ones(2))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_named_after_its_file(name):
    assert compose(f"task={name}").task.name == name


def names(pairing):
    """A pairing's task and optimizer."""
    task, _, optimizer = pairing.partition("_")
    return task, optimizer


@pytest.mark.parametrize("pairing", FEW_PAIRINGS)
def test_a_pairing_has_the_published_best_value_and_settings_that_were_searched(pairing):
    task, optimizer = names(pairing)
    cfg = compose(f"task={task}", f"optimizer={optimizer}", config="sweep")
    # The tables print six digits of it.
    assert cfg.published.best == pytest.approx(BEST_VALUES[pairing], abs=1e-6, rel=1e-5)
    given = OmegaConf.load(values.CONF / "pairing" / f"{pairing}.yaml").optimizer
    factory = Factory.of(OmegaConf.to_container(cfg.optimizer), "optimizer")
    space, hyperparameters = spaces.search_space(cfg, factory, None, lambda **_: None)
    assert hyperparameters == given
    assert all(dimension.low <= given[name] <= dimension.high for name, dimension in space.items())


@pytest.mark.parametrize(
    ("task", "optimizer"),
    [
        # Every task, and one optimizer of each kind; the other pairs repeat them.
        pytest.param(
            task,
            optimizer,
            marks=[pytest.mark.exhaustive]
            * (
                optimizer != "sgd_rms"
                and (task, optimizer) not in (("regression", "lion"), ("regression", "muon"))
            ),
        )
        for task in TASKS
        for optimizer in OPTIMIZERS
    ],
)
def test_a_task_shares_its_ranges_with_the_optimizers_that_have_them(task, optimizer):
    cfg = compose(f"task={task}", f"optimizer={optimizer}", config="sweep")
    assert spaces._shared(task, "paper") == {"learning_rate", "xi"}
    factory = Factory.of(OmegaConf.to_container(cfg.optimizer), "optimizer")
    found, _ = spaces.search_space(cfg, factory, None, lambda **_: None)
    known = {*factory.values, *(f"task.{name}" for name in cfg.task)}
    assert set(found) == {name for name, _ in spaces._flat(values.plain(cfg.search_space))} & known
    assert spaces._shared("renamed on the command line", "paper") == {"learning_rate", "xi"}


def test_every_published_run_of_a_task_here_has_a_pairing():
    assert {name for name in BEST_VALUES if names(name)[0] in TASKS} == set(PAIRINGS)


@pytest.mark.parametrize("name", FEW_PAIRINGS)
def test_search_spaces_are_the_published_ones(name):
    published, (of, optimizer) = published_spaces(), names(name)
    cfg = compose(f"task={of}", f"optimizer={optimizer}", config="sweep")
    factory = Factory.of(OmegaConf.to_container(cfg.optimizer), "optimizer")
    space, hyperparameters = spaces.search_space(cfg, factory, None, lambda **_: None)
    task = published["per_task"][of]
    expected = {
        key: as_range(value)
        for key, value in (
            published["shared"][optimizer] | task | published["exceptions"].get(name, {})
        ).items()
        if isinstance(value, list) and key in hyperparameters
    }
    assert space == expected
    assert cfg.task.epochs == task["epochs"]
    assert cfg.task.batch_size == task["batch_size"]
    assert cfg.trials == task["trials"]
    # What is not searched stays at the published constant.
    fixed = {key: value for key, value in hyperparameters.items() if key not in space}
    assert fixed == {key: 1e-8 for key in fixed if key == "eps"}


def study_of(sampler, pruner="none"):
    """A study with 30 told trials of the losses |log lr + 2|, sampled as a configuration says."""
    cfg = compose(f"sampler={sampler}", f"pruner={pruner}", config="sweep")
    assert (cfg.sampler.name, cfg.pruner.name or "none") == (sampler, pruner)
    create = hydra.utils.instantiate(cfg.sampler.create)
    study = optuna.create_study(pruner=hydra.utils.instantiate(cfg.pruner.create)())
    for number in range(30):
        study.sampler = create(seed=number)
        trial = study.ask()
        study.tell(trial, abs(np.log10(trial.suggest_float("lr", 1e-5, 1, log=True)) + 2))
    return study, cfg


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_proposes_and_says_how_many_are_in_flight(sampler):
    study, cfg = study_of(sampler)
    rates = [trial.params["lr"] for trial in study.trials]
    assert all(1e-5 <= rate <= 1 for rate in rates)
    adaptive = sampler not in ("random", "fixed", "confirmed")
    assert cfg.sampler.in_flight == (8 if adaptive else None)
    drawn = [trial.params["lr"] for trial in study_of("random")[0].trials]
    # An adaptive one has found the best rate by the last third; random search never looks.
    assert (rates == drawn) != adaptive
    if adaptive:
        assert np.median([trial.value for trial in study.trials[20:]]) < 0.5


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_stops_the_worse_at_its_rungs(pruner):
    cfg = compose(f"pruner={pruner}", config="sweep")
    rungs = list(cfg.pruner.rungs)
    assert (
        rungs
        == {
            "none": [],
            "hyperband": [20 * 3**k for k in range(5)],
            "successive_halving": [20 * 3**k for k in range(5)],
            "wandb_hyperband": list(range(20, 400, 20)),
            "median": list(range(20, 400, 20)),
        }[pruner]
    )
    assert (cfg.pruner.in_flight is None) == (not rungs)
    study = optuna.create_study(pruner=hydra.utils.instantiate(cfg.pruner.create)())
    verdicts = []
    for value in [0.5] * 40 + [0.9] * 20 + [0.1] * 20:
        trial = study.ask()
        stopped = False
        for rung in rungs:
            trial.report(value, rung)
            stopped = stopped or (rung < 200 and trial.should_prune())
        verdicts.append(stopped)
        study.tell(trial, None if stopped else value, TrialState.PRUNED if stopped else TrialState.COMPLETE)
    if rungs:
        # Of Hyperband's brackets some judge late or never; nobody stops what is better than all before.
        assert sum(verdicts[40:60]) >= 10
        assert not any(verdicts[60:67])
    else:
        assert not any(verdicts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["optimizer.xi=-1"], r"optimizer: xi must be >= 0"),
        (["optimizer.momentum=1"], r"optimizer: momentum must be in \[0, 1\)"),
        (["optimizer.learning_rate=nan"], r"optimizer.learning_rate must be a finite number, got nan"),
        (["optimizer.xi=abc"], r"optimizer.xi must be a number, got 'abc'"),
        (
            ["+optimizer.momentums=0.1"],
            r"unknown 'optimizer.momentums': allowed under optimizer are learning_rate, momentum, xi, beta, "
            r"beta_rms, weight_decay, eps.*; did you mean momentum\?",
        ),
        (
            ["optimizer=lion_metric", "+optimizer.embedding.hight=log"],
            r"unknown 'optimizer.embedding.hight': allowed under optimizer.embedding are height",
        ),
        # A run says the first two arguments.
        (
            ["schedule=cosine", "+schedule.steps=3"],
            r"unknown 'schedule.steps': allowed under schedule are final$",
        ),
        (
            ["optimizer._target_=builtins.dict"],
            r"optimizer: builtins.dict must return an optax.GradientTransformation, got dict",
        ),
        (["task.epochs=0"], r"task: epochs must be an integer >= 1, got 0"),
        (["task.epochs=few"], r"task.epochs: input should be a valid integer"),
        # True is 1 to Python.
        (["task.epochs=true"], r"task.epochs must be a number, got true"),
        (["task.widths=[true,1]"], r"task.widths.0 must be a number, got true"),
        (["optimizer.xi=true"], r"optimizer.xi must be a number, got true"),
        (["optimizer.learning_rate=null"], r"optimizer.learning_rate must be a number, got null"),
        (["optimizer.learning_rate=false"], r"optimizer.learning_rate must be a number, got false"),
        (["schedule=cosine", "schedule.final=true"], r"schedule.final must be a number, got true"),
        (
            ["search_space.xi.log=false", "search_space.xi.low=false"],
            r"search_space.xi.low must be a number, got false",
        ),
        (["task.shuffle=never"], r"'once', 'every_epoch' or 'every_epoch_bijection', got 'never'"),
        (["precision=fp8"], r"task.precision: input should be 'float32', 'tf32' or 'bfloat16', got 'fp8'"),
        (["~task.precision"], r"^task.precision is missing$"),
        (["task.eval_splits=test"], r"task.eval_splits: 'str' instances are not allowed"),
        (
            ["task.eval_splits=[validation]"],
            r"task: eval_splits must list .* train, test, got \['validation'\]",
        ),
        (["~task.epochs"], r"^task.epochs is missing$"),
        (["~task.widths"], r"^task.widths is missing$"),
        (["+task.epoch=1"], r"^unknown 'task.epoch'$"),
        (["task.name=${nowhere}"], r"nowhere"),
        (
            ["search_space.xi.low=1"],
            r"search_space.xi: a range must have low < high, and low > 0 with log, got 1.0 and 0.1",
        ),
        (["search_space.momentum.high=2"], r"search_space: momentum must be in \[0, 1\)"),
        (["search_space.xi.log=maybe"], r"search_space.xi.log: input should be a valid boolean"),
        (
            ["+search_space.momentun={low: 0.1, high: 0.2}"],
            r"search_space.momentun is not a hyperparameter of sgd_rms, which has learning_rate, momentum, "
            r"xi, beta, beta_rms, weight_decay, eps; did you mean momentum\?",
        ),
        # Of another optimizer, and not shared by the task.
        (
            ["optimizer=sgd", "+search_space.beta1={low: 0.1, high: 0.2}"],
            r"search_space.beta1 is not a hyperp",
        ),
        (
            ["optimizer._target_=induced_metric.sgdd"],
            r"optimizer._target_: cannot find 'induced_metric.sgdd",
        ),
        (["task._target_=induced_metric.tasks.base"], r"task._target_ must name a function or class"),
        (
            ["task=shakespeare", "task.micro_batch=few"],
            r"task.micro_batch: input should be a valid integer, .*, or input should be 'auto', got 'few'",
        ),
        (
            ["optimizer=lion_metric", "optimizer.embedding.height=exp"],
            r"optimizer: height must be one of identity, log, sqrt, softplus, got 'exp'",
        ),
        (["schedule=wsd", "schedule.decay=2"], r"schedule: decay must be in \[0, 1\], got 2"),
        (
            ["optimizer._target_=builtins.dict", "+optimizer.value=1"],
            r"optimizer: a hyperparameter cannot be called 'value': the reserved names are",
        ),
        (
            ["optimizer._target_=builtins.dict", "+optimizer.curve=1"],
            r"optimizer: a hyperparameter cannot be called 'curve'",
        ),
        (
            ["optimizer._target_=builtins.dict", "+optimizer.epoch=0.5"],
            r"optimizer: a hyperparameter cannot be called 'epoch'",
        ),
    ],
)
def test_a_bad_value_ends_in_one_sentence(overrides, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        build.pairing(compose(*overrides))
    assert "\n" not in str(error.value)


def test_a_whole_number_may_be_written_as_a_real_one():
    assert build.pairing(compose("task.epochs=1e1")).task.epochs == 10
    assert build.placement(compose("lanes.width=2e0").lanes).width == 2


def test_a_single_trial_is_named_after_what_determines_its_curve_and_after_nothing_else():
    def name(*overrides, seed=3):
        config = compose("task=regression", "optimizer=sgd_rms", *overrides)
        return train.identity(OmegaConf.to_container(config, resolve=True), seed)

    today = name()
    assert today.startswith("regression-sgd_rms-")
    assert {name("results=elsewhere"), name("lanes=wide"), name("tracking=disabled")} == {today}
    changed = ["optimizer.xi=0.5", "task.epochs=7", "schedule=cosine", "protocol=fair", "precision=tf32"]
    names = [today, name(seed=4), *map(name, changed)]
    assert len(set(names)) == len(names)
