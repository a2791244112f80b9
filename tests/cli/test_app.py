"""What the entry points share: lanes that fit the trials, facts for the records, mistakes in one sentence."""

import errno
import itertools
import os
import signal
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import hydra
import jax
import jax.numpy as jnp
import pytest
import toys
from omegaconf import OmegaConf

import induced_metric
from induced_metric.cli import app, build, searching, train, values
from induced_metric.errors import UserError, written
from induced_metric.lanes import Lanes, engine, placement, probe
from induced_metric.lanes.facts import device_facts, lane_facts
from induced_metric.lanes.placement import Placement, most_shards
from induced_metric.training.checkpoints import Checkpoints
from induced_metric.training.trial import Trial


def compose(*overrides, config="config"):
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        return hydra.compose(config, list(overrides))


@pytest.mark.parametrize(
    ("devices", "examples", "most"),
    [(1, 8, 1), (2, 1024, 2), (6, 8, 4), (7, 1024, 4), (12, 8, 8), (3, 9, 3), (2, 15, 1)],
)
def test_most_devices_that_share_a_batch_out_evenly(devices, examples, most):
    assert most_shards(devices, examples) == most


@pytest.mark.parametrize(
    ("layout", "trials", "lanes_and_queue"),
    [
        ("map", None, (8, 2)),
        ("map", 1, (1, 1)),
        ("map", 3, (2, 2)),
        ("vmap", 1, (1, 1)),
        ("vmap", 3, (3, 1)),
        ("vmap", 12, (8, 2)),
    ],
)
def test_no_more_lanes_and_dispatches_than_trials(layout, trials, lanes_and_queue):
    assert Placement(width=8, trials=trials)._fit(8, layout, places=1) == lanes_and_queue


@pytest.fixture
def pair(tiny_task):
    numbers = {"learning_rate": 0.1, "momentum": 0.9}
    return build.Pairing(
        name="sgd",
        task=tiny_task, task_of=lambda: tiny_task, optimizer=induced_metric.sgd, schedule=None,
        hyperparameters=numbers, search_space={}, published_best=None,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "most", "facts", "capacity"),
    [
        ([], None, {"layout": "map", "width": 2, "queue": 2}, 8),
        ([], 3, {"layout": "map", "width": 1, "queue": 2}, 4),
        ([], 1, {"layout": "map", "width": 1, "queue": 1}, 1),
        (["lanes.width=4"], 1, {"layout": "map", "width": 1, "queue": 1}, 1),
        # Measured to double up to any number of lanes: on two devices four suffice for eight trials.
        (["lanes.layout=vmap"], 8, {"layout": "vmap", "width": 4, "queue": 1}, 8),
        (["lanes.layout=vmap"], 1, {"layout": "vmap", "width": 1, "queue": 1}, 1),
    ],
)
def test_an_engine_has_no_lanes_for_more_trials_than_there_are(
    pair, monkeypatch, overrides, most, facts, capacity
):
    measured = []

    def steps_per_second(make, trial, clock):
        measured.append(make().width)
        return 1000.0 * measured[-1]

    monkeypatch.setattr(probe, "_steps_per_second", steps_per_second)
    where = build.placement(compose(*overrides).lanes)
    where = where if most is None else where.for_trials(most)
    places = capacity // (facts["width"] * facts["queue"])
    with pair.lanes(where) as lanes:
        told = lane_facts(lanes)["lanes"]
        assert told.pop("measured", {}).get("rates", {}).keys() == {f"vmap {width}" for width in measured}
        assert told == facts | {"places": places}
        assert lanes.capacity == capacity
        # Where it is measured that a step takes 0.5 ms, a tenth of a second of them: more than the trial has.
        assert lanes.steps_per_dispatch == (6 if measured else 20)
    assert measured == ([1, 4] if most == 8 else [])


@pytest.fixture
def card(monkeypatch):
    """A device on which vmapped lanes do twice the work up to ``card["widest"]``, and more do not fit."""
    its = {"widest": 8, "tried": [], "seconds": 1e-3, "mapped": 1}

    def steps_per_second(make, trial, clock):
        lanes = make()
        its["tried"].append(f"{lanes.layout} {lanes.width}")
        lanes.close()
        return lanes.width / its["seconds"] * (its["mapped"] if lanes.layout == "map" else 1)

    class Card(Lanes):
        def __init__(self, *given, width, **options):
            if width > its["widest"]:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
            super().__init__(*given, width=width, **options)

    monkeypatch.setattr(probe, "_steps_per_second", steps_per_second)
    for module in (engine, placement):
        monkeypatch.setattr(module, "default_layout", lambda: "vmap")
    monkeypatch.setattr(placement, "Lanes", Card)
    return its


def record(pair, lanes):
    """The provenance of a record of these lanes."""
    return {"versions": {"jax": jax.__version__}, **device_facts(), **lane_facts(lanes)}


@pytest.mark.slow
def test_what_fits_is_measured_once_a_study_and_remembered_by_its_records(pair, card):
    where = Placement(trials=64)
    with pair.lanes(where) as lanes:
        assert (lanes.layout, lanes.width) == ("vmap", 8)
        facts = record(pair, lanes)
    assert card["tried"] == ["map 1", "vmap 4", "vmap 8"]
    with pair.lanes(where.after(facts)) as lanes:
        assert lane_facts(lanes) == {"lanes": facts["lanes"]}
    assert len(card["tried"]) == 3
    for changed in ({"device": "another"}, {"versions": {"jax": "0.1"}}):
        assert where.after(facts | changed) == where


def test_a_width_that_does_not_fit_is_halved_and_remembered(pair, card):
    where = Placement(trials=64, width=24)
    with pytest.warns(UserWarning, match="do not fit"):
        halved = pair.lanes(where)
    with halved as lanes:
        assert lanes.width == 6
        facts = record(pair, lanes)
    assert facts["lanes"]["asked"] == 24
    assert card["tried"] == ["map 1", "vmap 6"]  # what fits of it
    for _ in range(2):
        with pair.lanes(where.after(facts)) as lanes:  # in silence: a warning is an error here
            assert lane_facts(lanes) == {"lanes": facts["lanes"]}
            facts = record(pair, lanes)
    assert len(card["tried"]) == 2
    with pair.lanes(Placement(trials=64, width=7).after(facts)) as lanes:
        assert lanes.width == 7
    assert card["tried"][2:] == ["map 1", "vmap 7"]


def test_a_measured_width_that_no_longer_fits_is_halved_and_remembered_too(pair, card):
    where = Placement(trials=64)
    with pair.lanes(where) as lanes:
        facts = record(pair, lanes)
    card["widest"] = 5  # somebody else has taken memory
    with pytest.warns(UserWarning, match="8 lanes do not fit"):
        halved = pair.lanes(where.after(facts))
    with halved as lanes:
        facts = record(pair, lanes)
    assert (facts["lanes"]["asked"], facts["lanes"]["fits"], facts["lanes"]["width"]) == (8, 4, 4)
    for _ in range(2):
        with pair.lanes(where.after(facts)) as lanes:
            assert lane_facts(lanes) == {"lanes": facts["lanes"]}
            facts = record(pair, lanes)


def test_a_width_that_was_asked_for_is_mapped_where_that_does_more(pair, card):
    card["mapped"] = 3  # times as fast as a vmapped lane
    with pair.lanes(Placement(trials=64, width=2)) as lanes:
        assert (lanes.layout, lanes.width, lanes.queue) == ("map", 2, 2)
    with pair.lanes(Placement(trials=64, width=4)) as lanes:
        assert (lanes.layout, lanes.width) == ("vmap", 4)
    with pair.lanes(Placement(trials=64, width=2, layout="vmap")) as lanes:
        assert (lanes.layout, lanes.width) == ("vmap", 2)
    assert card["tried"] == ["map 1", "vmap 2", "map 1", "vmap 4"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "steps"), [(1e-4, 200), (1e-3, 100), (0.01, 20), (0.1, 10), (0.4, 2), (7.0, 1)]
)
def test_a_dispatch_takes_a_tenth_of_a_second_to_a_second_where_that_is_known(pair, card, seconds, steps):
    pair = replace(pair, task=replace(pair.task, epochs=300))
    card["seconds"] = seconds / len(jax.devices())  # each device does its share
    with pair.lanes(Placement(trials=64)) as lanes:
        assert lanes.steps_per_dispatch == steps
    with pair.lanes(Placement(trials=64, steps_per_dispatch=7)) as lanes:
        assert lanes.steps_per_dispatch == 7


def test_one_trial_at_a_time_has_one_lane_and_shows_each_epoch(pair):
    with pair.lanes(Placement(data_parallel="auto", trials=9)) as lanes:
        assert (lanes.width, lanes.queue, lanes.steps_per_dispatch) == (1, 1, 1)


def test_a_single_lane_is_mapped_also_where_lanes_are_vmapped(monkeypatch):
    monkeypatch.setattr(engine, "default_layout", lambda: "vmap")
    for width, layout in ((1, "map"), (2, "vmap")):
        with Lanes(
            lambda h, s: jnp.float32(0), lambda x, h: (x, {"x": x}), hyperparameters=[], width=width
        ) as lanes:
            assert lanes.layout == layout


def test_the_precision_of_matrix_products_is_told_as_set_and_as_measured(monkeypatch):
    told = device_facts()
    assert (told["jax_default_matmul_precision"], told["matmul_precision"]) == (None, "float32")
    with jax.default_matmul_precision("highest"):
        assert device_facts()["jax_default_matmul_precision"] == "highest"
    assert device_facts("tensorfloat32")["jax_default_matmul_precision"] == "tensorfloat32"

    # What a GPU and a TPU do by default: factors are rounded to 10 and to 7 bits after the first.
    diag = jnp.diag
    for bits, name in ((10, "tensorfloat32"), (7, "bfloat16"), (13, "13 bits")):
        rounded = lambda x, bits=bits: diag(jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits))  # noqa: E731
        monkeypatch.setattr(jnp, "diag", rounded)
        assert device_facts()["matmul_precision"] == name


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, r"where\._target_ must be the dotted path of a function or class, got None"),
        (
            {"_target_": "induced_metric.sgdd"},
            r"where\._target_: cannot find 'induced_metric.sgdd' \(.*no at",
        ),
        ({"_target_": "no_such.module"}, r"where\._target_: cannot find .* \(No module named 'no_such'\)"),
        ({"_target_": "a b"}, r"where\._target_: cannot find 'a b'"),
        ({"_target_": "induced_metric.errors"}, r"must name a function or class, and .* is a module"),
    ],
)
def test_a_wrong_target_is_one_sentence(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        values.target(settings, "where")


def test_samplers_and_pruners_of_the_configuration_are_made_or_refused():
    import optuna

    cfg = compose("sampler=tpe", "pruner=hyperband", config="sweep")
    assert isinstance(searching.sampler(cfg.sampler)(seed=3), optuna.samplers.TPESampler)
    assert isinstance(searching.pruner(cfg.pruner), optuna.pruners.HyperbandPruner)
    for overrides, sentence in (
        (["sampler.create._target_=optuna.samplers.TPE"], r"sampler.create._target_: cannot find"),
        (["+sampler.create.wings=2"], r"sampler.create: .*unexpected keyword argument 'wings'"),
    ):
        with pytest.raises(UserError, match=sentence):
            searching.sampler(compose(*overrides, config="sweep").sampler)
    for overrides, sentence in (
        (["pruner.create._target_=optuna.pruners"], r"pruner.create._target_ must name a function or class"),
        (["+pruner.create.wings=2"], r"pruner.create: .*takes no arguments"),
    ):
        with pytest.raises(UserError, match=sentence):
            searching.pruner(compose(*overrides, config="sweep").pruner)


@pytest.mark.parametrize("rungs", [None, "[5, 5]", "[15, 5]", "[0, 5]", "[5.5]", "[true]", "20"])
def test_rungs_are_increasing_epochs(rungs):
    given = "null" if rungs is None else rungs
    pruner = compose("pruner=hyperband", f"pruner.rungs={given}", config="sweep").pruner
    with pytest.raises(UserError, match=r"pruner\.rungs must be increasing numbers of epochs, such as"):
        searching.rungs(pruner)


def test_a_sampler_without_what_creates_it_is_refused():
    with pytest.raises(UserError, match=r"sampler\.create must have a _target_, got None"):
        searching.sampler(compose("~sampler.create", config="sweep").sampler)


def test_a_module_of_ones_own_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("def thing(:\n")
    (tmp_path / "missing_name.py").write_text("thing = other\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module, reason in (("broken_module", "SyntaxError"), ("missing_name", "NameError")):
        with pytest.raises(UserError, match=rf"where\._target_: cannot import '{module}\.thing' \({reason}"):
            values.target({"_target_": f"{module}.thing"}, "where")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return None", r"task: own_task\.task must return a Task, got NoneType"),
        ("return {}['a']", r"task: own_task\.py, line 1: KeyError: 'a'"),
    ],
)
def test_a_task_of_ones_own_that_makes_none_is_one_sentence(body, sentence, tmp_path, monkeypatch):
    (tmp_path / "own_task.py").write_text(f"def task(**_): {body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_task", raising=False)
    with pytest.raises(UserError, match=sentence):
        build.pairing(compose("task._target_=own_task.task"))


def test_an_optimizer_of_ones_own_that_fails_at_an_end_of_its_range_is_one_sentence(tmp_path, monkeypatch):
    source = "import optax\ndef own(learning_rate, a):\n    return optax.sgd(learning_rate / (1 - a))\n"
    (tmp_path / "own_optimizer.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["optimizer=sgd", "optimizer._target_=own_optimizer.own", "+optimizer.a=0.5"]
    words += ["~optimizer.momentum", "~search_space.momentum"]
    build.pairing(compose(*words, "+search_space.a={low: 0.0, high: 0.9}"))
    with pytest.raises(UserError, match=r"^search_space: own_optimizer.py, line 3: ZeroDivisionError"):
        build.pairing(compose(*words, "+search_space.a={low: 0.0, high: 1.0}"))


@pytest.mark.parametrize("value", ["-1", "soon", "true", "nan"])
def test_seconds_between_checkpoints_are_a_number(value):
    with pytest.raises(UserError, match="checkpoint_seconds must be a number >= 0, got"):
        build.checkpoints(compose(f"checkpoint_seconds={value}"), "train")


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_results_that_cannot_be_written_are_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"results must be a directory that can be written, and .* is not"):
        app.results(OmegaConf.create({"results": str(tmp_path / place)}))


def end_of(task, tmp_path, monkeypatch, capsys):
    """How an entry point ends: its exit code, and what it says."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # as the entry points set it, and undone afterwards
    monkeypatch.setattr(sys, "argv", ["train.py", f"results={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        app.run(task, "config")
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    "ask",
    [
        lambda: jax.block_until_ready(jnp.zeros(1 << 46, jnp.float32)),
        lambda: jax.device_put(__import__("numpy").zeros(1 << 50, "float32")),
        # What a program raises that ran before.
        lambda: exec('raise ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 2147483648 bytes.")'),
    ],
    ids=["of the device", "of the host", "later"],
)
def test_too_little_memory_is_one_sentence_that_says_what_to_lower(ask, tmp_path, monkeypatch, capsys):
    code, said = end_of(lambda cfg: ask(), tmp_path, monkeypatch, capsys)
    assert code == 2
    (line,) = said.splitlines()
    assert line.startswith("train.py: the device does not have enough memory (")
    assert "lower lanes.width" in line
    assert "task.batch_size" in line


def test_a_single_trial_whose_static_values_do_not_fit_is_the_same_sentence(tmp_path, monkeypatch, capsys):
    def advance(state, h):
        state, metrics = toys.advance(state, h)
        large = jnp.sort(jnp.arange(1 << (10 * h["width"]), dtype=jnp.float32) * h["x"])
        return state, {"test/loss": metrics["test/loss"] + large[0]}

    def task(cfg):
        trial = Trial(0, {"x": 1.0, "width": 5}, 0, toys.plan().goal)
        where = Checkpoints(tmp_path / "checkpoints", every=0)
        with toys.lanes(advance, static=["width"], width=1, queue=1, devices=jax.devices()[:1]) as lanes:
            train._run(trial, lanes, where, "toy", lambda *_: None, lambda: False)

    code, said = end_of(task, tmp_path, monkeypatch, capsys)
    assert code == 2
    assert said.splitlines()[-1].startswith("train.py: the device does not have enough memory (")


@pytest.mark.slow
@pytest.mark.parametrize("looks", range(5))
def test_a_single_trial_that_is_stopped_is_saved_whenever_the_signal_comes(tmp_path, looks):
    """Also between two looks at it: what the engine is told is what decided whether to save."""
    asked = itertools.count()
    trial = Trial(0, {"x": 1.0}, 0, toys.plan().goal, "toy")
    where = Checkpoints(tmp_path / "checkpoints", every=0)
    with toys.lanes(width=1, queue=1, devices=jax.devices()[:1]) as lanes:
        with pytest.raises(SystemExit):
            train._run(trial, lanes, where, "toy", lambda *_: None, lambda: next(asked) >= looks)
        again = Trial(0, {"x": 1.0}, 0, toys.plan().goal, "toy")
        assert again.restore(where, lanes) == (looks > 0)
    assert again.done == trial.done == looks


def test_no_memory_is_no_mistake_in_a_setting():
    with pytest.raises(ValueError, match="RESOURCE_EXHAUSTED") as raised, values.sentences("lanes"):
        raise ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 2147483648 bytes.")
    assert not isinstance(raised.value, UserError)


def test_another_error_is_not_taken_for_one_of_the_user(tmp_path, monkeypatch, capsys):
    def wrong(cfg):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(sys, "argv", ["train.py", f"results={tmp_path}"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        app.run(wrong, "config")


def test_what_is_warned_of_is_a_sentence_and_what_libraries_warn_of_names_its_place(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # to be put back
    assert end_of(lambda cfg: None, tmp_path, monkeypatch, capsys) == (0, "")
    ours = warnings.formatwarning("ours", UserWarning, app.__file__, 3)
    theirs = warnings.formatwarning("theirs", UserWarning, "/somewhere/else.py", 3, None)
    assert ours == "train.py: warning: ours\n"
    assert theirs == "/somewhere/else.py:3: UserWarning: theirs\n"


@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_between_two_jobs_stops_the_next(how, code, capfd):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert not app.stop_in_order()()
        os.kill(os.getpid(), how)
        assert app.stop_in_order()()
        with pytest.raises(SystemExit) as ended:
            app.stopped("stopped after epoch 3")
        assert ended.value.code == code
        said = capfd.readouterr()
        assert said.out == "stopped after epoch 3\n"
        assert ("Ctrl-C again ends at once" in said.err) == (how is signal.SIGINT)
    finally:
        app._CAME.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("begun", [True, False])
def test_a_full_disk_is_one_sentence_also_where_only_hydra_writes(begun, tmp_path, monkeypatch, capsys):
    def full(cfg):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    if begun:
        code, said = end_of(full, tmp_path, monkeypatch, capsys)
    else:
        monkeypatch.setattr(Path, "mkdir", lambda *_, **__: full(None))
        code, said = end_of(lambda cfg: None, tmp_path, monkeypatch, capsys)
    assert code == 75  # the same command may succeed later
    assert said == (
        f"train.py: results must be a directory that can be written, and {tmp_path} is not "
        "(No space left on device)\n"
    )


def test_what_may_pass_has_an_exit_code_of_its_own(tmp_path, monkeypatch, capsys):
    def refused(number):
        def task(cfg):
            with written(tmp_path / "x"):
                raise OSError(number, os.strerror(number))

        code, said = end_of(task, tmp_path, monkeypatch, capsys)
        assert said.startswith(f"train.py: {tmp_path}/x cannot be written ({os.strerror(number)}): ")
        return code

    assert [refused(number) for number in (errno.ENOSPC, errno.ESTALE, errno.EACCES)] == [75, 75, 2]


@pytest.mark.parametrize(("given", "made"), [("2026", "2026"), ("null", None), ("''", None)])
def test_a_results_directory_may_look_like_a_number_but_not_be_missing(
    given, made, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["train.py", f"results={given}", f"hydra.run.dir={tmp_path}/hydra"])
    seen = []
    with pytest.raises(SystemExit) as ended:
        app.run(lambda cfg: seen.append(app.results(cfg)), "config")
    if made is None:
        assert ended.value.code == 2
        assert capsys.readouterr().err == "train.py: results must be a directory, got null or nothing\n"
    else:
        assert (ended.value.code, seen) == (0, [Path(made)])


def test_windows_is_told_that_it_is_not_supported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    code, said = end_of(lambda cfg: None, tmp_path, monkeypatch, capsys)
    assert code == 2
    assert said == (
        "train.py: Windows is not supported, since it has no fcntl locks; use Linux, macOS or WSL 2\n"
    )


def test_the_device_is_one_line():
    assert app.device() == f"device: cpu x 2 (JAX {jax.__version__})"


def test_a_setting_under_its_older_name_reaches_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["train.py", f"results={tmp_path}", "lanes.lanes=3"])
    widths = []
    with pytest.raises(SystemExit) as ended:
        app.run(lambda cfg: widths.append(cfg.lanes.width), "config")
    assert (ended.value.code, widths) == (0, [3])
