"""What a configuration says is searched: of the optimizer, its schedule, its arguments and the task."""

from typing import Literal

import hydra
import jax.numpy as jnp
import numpy as np
import pytest

from induced_metric.cli import build, values
from induced_metric.cli.factories import Factory
from induced_metric.errors import UserError
from induced_metric.lanes import Assignment
from induced_metric.lanes.placement import Placement
from induced_metric.space import Choice, Float, Int, programs

TINY = [
    "task=regression", "task.epochs=3", "task.train_examples=64", "task.test_examples=16",
    "task.batch_size=16", "task.widths=[4,1]",
]  # fmt: skip


def pairing(*overrides):
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        return build.pairing(hydra.compose("sweep", [*TINY, *overrides]))


class Made:
    """An optimizer's argument that is an object."""

    def __init__(self, p, kind):
        self.p, self.kind = p, kind


def make(p, kind: str = "plain", flag=False):
    if p < 0:
        raise ValueError(f"p must be >= 0, got {p}")
    return Made(p, kind)


def factory(rate, inner, count: int = 3, flag=False):
    return rate, inner, count, flag


NESTED = {
    "_target_": f"{__name__}.factory",
    "rate": 1,
    "count": 5,
    "flag": True,
    "inner": {"_target_": f"{__name__}.make", "p": 2, "kind": "odd"},
}


@pytest.fixture
def nested(monkeypatch):
    monkeypatch.setattr(values.pkgutil, "resolve_name", lambda path: globals()[path.rpartition(".")[2]])
    return Factory.of(NESTED, "optimizer")


def test_an_argument_with_a_target_is_made_of_hyperparameters_of_its_own(nested):
    assert nested.numbers == {"rate": 1.0, "inner.p": 2.0}
    assert nested.constants == {"count": 5, "flag": True}
    rate, inner, count, flag = nested(**{**nested.numbers, "inner.p": 7.0})
    assert (rate, inner.p, inner.kind, count, flag) == (1.0, 7.0, "odd", 5, True)
    assert nested(**{**nested.numbers, "inner.kind": "even"})[1].kind == "even"
    assert nested(**{**nested.numbers, "inner": "chosen whole"})[1] == "chosen whole"


def test_what_an_argument_refuses_is_a_sentence(nested):
    with pytest.raises(UserError, match=r"^search_space: p must be >= 0, got -1.0$"):
        nested.check({"inner.p": -1.0})


def test_a_word_for_a_number_is_refused():
    settings = {"_target_": "induced_metric.sgd_rms", "xi": "abc"}
    with pytest.raises(UserError, match=r"optimizer.xi must be a number, got 'abc'"):
        Factory.of(settings, "optimizer")


@pytest.mark.parametrize("target", ["induced_metric.sgd_rms", "induced_metric.optimizers.adam", "optax.lion"])
def test_nothing_for_a_number_is_refused(target):
    with pytest.raises(UserError, match=r"optimizer.learning_rate must be a number, got null"):
        Factory.of({"_target_": target, "learning_rate": None}, "optimizer")


def test_nothing_is_a_value_where_a_signature_says_so():
    for target, name in (("optax.adafactor", "learning_rate"), ("optax.sgd", "momentum")):
        assert Factory.of({"_target_": target, name: None}, "optimizer").constants == {name: None}


class Annotated:
    """Arguments whose annotations allow several types, or cannot be evaluated."""

    @staticmethod
    def optional(a: int | None, b: Literal["x", "y"], c: Literal[1, 2], d: float | int, e: float | str):
        return a, b, c, d, e

    @staticmethod
    def as_text(a: "int | None", b: 'Literal["x", "y"]', c: "int", d: "float", e: "float | str"):
        return a, b, c, d, e

    @staticmethod
    def unknown(a: "int", b: "str | None", c: "bool", d: "OfTypeCheckersOnly", e: "str"):  # noqa: F821
        return a, b, c, d, e


@pytest.mark.parametrize("function", [Annotated.optional, Annotated.as_text, Annotated.unknown])
def test_an_annotation_says_what_is_a_constant_of_the_program(function, monkeypatch):
    monkeypatch.setattr(values.pkgutil, "resolve_name", lambda _: function)
    given = {"_target_": "function", "a": 3, "b": "x", "c": 1, "d": 2, "e": "word"}
    made = Factory.of(given, "optimizer")
    assert made.numbers == {"d": 2.0}
    assert made.constants == {"a": 3, "b": "x", "c": 1, "e": "word"}
    assert [made.is_static(name) for name in "abcd"] == [True, True, True, False]
    if function is not Annotated.unknown:
        assert Factory.of({**given, "a": None}, "optimizer").constants["a"] is None


def test_the_task_and_the_schedule_have_dimensions_too():
    pair = pairing(
        "optimizer=adam", "schedule=warmup_cosine",
        "+search_space.schedule.warmup={low: 0.0, high: 0.5}",
        "+search_space.task.batch_size={low: 8, high: 32, step: 8, type: int}",
        "+search_space.task.shuffle={choices: [once, every_epoch]}",
        "+search_space.eps={choices: [1e-8, 1e-6]}",
    )  # fmt: skip
    space = pair.search_space
    assert space["schedule.warmup"] == Float(0.0, 0.5)
    assert space["task.batch_size"] == Int(8, 32, step=8, static=True)
    assert space["task.shuffle"] == Choice(("once", "every_epoch"), static=True)
    assert space["eps"] == Choice((1e-8, 1e-6))
    assert programs(space) == 8
    assert list(space)[:3] == ["learning_rate", "beta1", "beta2"]  # the optimizer's own first
    assert pair.hyperparameters["task.batch_size"] == 16
    assert {"schedule.warmup", "schedule.final"} < set(pair.hyperparameters)


@pytest.mark.slow
def test_trials_of_every_static_value_are_trained_as_with_their_own_task():
    pair = pairing("optimizer=adam", "+search_space.task.batch_size={choices: [16, 32]}")
    with pair.lanes(Placement()) as lanes:
        curves = lanes.run_all(
            Assignment(size, {**pair.hyperparameters, "task.batch_size": size}, 5, 3) for size in (16, 32)
        )
    for size in (16, 32):
        own = pairing("optimizer=adam", f"task.batch_size={size}")
        with own.lanes(Placement()) as lanes:
            alone = lanes.run_all([Assignment(0, own.hyperparameters, 5, 3)])[0]
        np.testing.assert_array_equal(curves[size]["test/loss"], alone["test/loss"])
    assert not np.array_equal(curves[16]["test/loss"], curves[32]["test/loss"])


@pytest.mark.slow
def test_a_list_of_the_task_is_searched_as_a_word():
    choices = "+search_space.task.widths={choices: [[4,1], [3,2,1]]}"
    pair = pairing("optimizer=adam", choices)
    assert pair.search_space["task.widths"] == Choice(("[4, 1]", "[3, 2, 1]"), static=True)
    assert pair.hyperparameters["task.widths"] == "[4, 1]"
    with pair.lanes(Placement()) as lanes:
        numbers = {**pair.hyperparameters, "task.widths": "[3, 2, 1]"}
        curve = lanes.run_all([Assignment(0, numbers, 5, 3)])[0]
    own = pairing("optimizer=adam", "task.widths=[3,2,1]")
    with own.lanes(Placement()) as lanes:
        alone = lanes.run_all([Assignment(0, own.hyperparameters, 5, 3)])[0]
    np.testing.assert_array_equal(curve["test/loss"], alone["test/loss"])


@pytest.mark.slow
def test_a_schedule_ends_at_its_last_rate():
    pair = pairing("optimizer=sgd", "schedule=linear", "schedule.final=0")
    constant = pairing("optimizer=sgd")
    assert constant.schedule is None
    assert (constant.name, pair.name) == ("sgd", "sgd+linear")  # two studies, side by side in every table
    rates = [
        float(pair.schedule(0.1, pair.task.steps, final=0.0)(step)) for step in range(pair.task.steps + 1)
    ]
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0)
    with pair.lanes(Placement()) as lanes:
        decayed = lanes.run_all([Assignment(0, pair.hyperparameters, 5, 3)])[0]
    with constant.lanes(Placement()) as lanes:
        held = lanes.run_all([Assignment(0, constant.hyperparameters, 5, 3)])[0]
    assert np.isfinite(decayed["test/loss"]).all()
    assert not np.array_equal(decayed["test/loss"], held["test/loss"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["+search_space.task.epochs={choices: [1, 2]}"], r"search_space.task.epochs cannot be searched"),
        (
            ["+search_space.task.batch_size={low: 8, high: 16}"],
            r"search_space.task.batch_size needs a program for each value: give it type: int, or choices",
        ),
        (["+search_space.task.batch_size={choices: [8, 999]}"], r"task: batch_size must be an integer"),
        (["+search_space.task.widths={choices: [[4,1],4]}"], r"task.widths: choices must be of one kind"),
        (["+search_space.task.widths={choices: [[4,1],[a,1]]}"], r"^task.widths.0: input should be a"),
        (["+search_space.task.widths={low: 1, high: 4}"], r"task.widths needs a program for each value"),
        (["+search_space.task.batch={choices: [8, 9]}"], r"search_space.task.batch is not a .*mean task."),
        (["+search_space.eps={choices: [1e-8]}"], r"search_space.eps: choices must be at least two"),
        (["+search_space.eps={choices: [1e-8, a]}"], r"search_space.eps: choices must be of one kind"),
        (["+search_space.eps={choices: [false, true]}"], r"search_space: eps must be a number, got false"),
        (["+search_space.eps={low: 1, high: 2, type: real}"], r"search_space.eps.type must be float or int"),
        (["+search_space.eps={low: 1, hi: 2}"], r"unknown 'search_space.eps.hi': allowed are low, high, log"),
        (["+search_space.eps={min: 1, max: 2}"], r"unknown 'search_space.eps.min': allowed are low, hig"),
        (
            ["~optimizer.eps", "+search_space.eps={low: 1e-9, high: 1e-7}"],
            r"search_space.eps: give optimizer.eps a value first, the one without a search \(\+opt",
        ),
        (["+search_space.eps=3"], r"search_space.eps must have low and high, or choices, got 3"),
        # Of an optimizer with xi, which this one has not: its study would be recorded with the mistake.
        (["search_space.xi=0.1"], r"search_space.xi must have low and high, or choices, got 0.1"),
        (["search_space.xi.low=1"], r"search_space.xi: a range must have low < high"),
        (["+search_space.eps={low: 1.5, high: 3, type: int}"], r"search_space.eps.low: input should be a"),
        (
            ["+optimizer.direction={_target_: optax.sgd, learning_rate: 0.1}",
             "optimizer._target_=induced_metric.optimizers.descend", "+optimizer.weight_decay=0.0",
             "~optimizer.beta1", "~optimizer.beta2", "~optimizer.eps"],
            r"optimizer.direction.learning_rate: the only learning rate is optimizer.learning_rate; dir",
        ),
        (["+search_space.schedule.warmup={low: 0, high: 1}"], r"search_space.schedule.warmup is not a hyper"),
        (["schedule=cosine", "schedule.final=2"], r"schedule: final must be in \[0, 1\]"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_one_sentence(overrides, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        pairing("optimizer=adam", *overrides)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_what_changes_the_program_must_be_static(tiny_task):
    from induced_metric.training.program import TrialProgram

    def optimizer(learning_rate, layers):
        import optax

        return optax.chain(
            *[optax.scale(0.5)] * len(range(layers)), optax.scale_by_learning_rate(learning_rate)
        )

    numbers = {"learning_rate": 0.1, "layers": 2}
    with pytest.raises(
        UserError, match=r"one of learning_rate, layers decides a Python if or a shape: write jnp\.where"
    ):
        TrialProgram(tiny_task, optimizer, numbers)
    with TrialProgram(tiny_task, optimizer, numbers, static=["layers"]).lanes() as lanes:
        curves = lanes.run_all(Assignment(k, {**numbers, "layers": k}, 0, 2) for k in (1, 2))
    assert jnp.isfinite(curves[1]["test/loss"]).all()
