import os
import re
import shutil
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from hypothesis import given, settings

from induced_metric import records
from induced_metric.records import RecordStore
from induced_metric.records import store as store_module
from induced_metric.records.schema import check_hyperparameter_names


def append(store: RecordStore, *numbers: int, **options: object) -> None:
    options = {"optimizer": "adam", "epochs": 5} | options
    rows, curves = zip(*(synthetic.trial(number, **options) for number in numbers), strict=True)
    store.append(rows, curves)


def contents(store: RecordStore) -> dict[str, bytes]:
    return {str(p.relative_to(store.directory)): p.read_bytes() for p in store.directory.rglob("*.parquet")}


metrics = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def batches(draw: st.DrawFn) -> list[list[tuple[dict, dict]]]:
    """Trials in any order, appended in batches of any size."""
    made = []
    floats, integers = st.floats(allow_nan=False), st.integers(0, 5)
    rates = draw(st.sampled_from([floats, integers, floats | integers]))
    for number in draw(st.permutations(range(draw(st.integers(1, 5))))):
        row, _ = synthetic.trial(number, optimizer="adam", epochs=1)
        row["value"] = draw(st.floats(allow_nan=False))
        row["learning_rate"] = draw(rates)
        row["nesterov"], row["task.activation"] = draw(st.booleans()), draw(st.sampled_from(["relu", "gelu"]))
        row["seed"] = draw(st.integers(-(2**63), 2**63 - 1))
        row["config"] = draw(st.text())
        loss = draw(st.lists(metrics, min_size=0, max_size=4))
        curve = {
            "epoch": np.arange(len(loss)),
            "seconds": np.linspace(0.1, 0.7, len(loss)),
            "test/loss": np.array(loss, np.float32),
        }
        made.append((row, curve))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(made) - 1)))))
    return [part for part in np.split(np.array(made, object), cuts) if len(part)]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(batches(), st.booleans(), st.booleans())
def test_what_is_appended_is_read_back(tmp_path_factory, batches, midway, finally_) -> None:
    store = RecordStore(tmp_path_factory.mktemp("store"))
    rows: list[dict] = []
    curves: list[dict] = []
    for place, batch in enumerate(batches):
        store.append([row for row, _ in batch], [curve for _, curve in batch])
        rows += [row for row, _ in batch]
        curves += [curve for _, curve in batch]
        if midway and place == 0:
            store.compact()
    if finally_:
        store.compact()
    expected = pd.DataFrame(sorted(rows, key=lambda row: row["trial"]))
    found = store.read()
    pd.testing.assert_frame_equal(found.trials, expected, check_like=True, check_exact=True)
    for row, curve in zip(rows, curves, strict=True):
        read = found.curves[found.curves["trial"] == row["trial"]].drop(columns="trial")
        pd.testing.assert_frame_equal(
            read.reset_index(drop=True), pd.DataFrame(curve), check_like=True, check_exact=True
        )


def test_types_and_order_are_those_of_the_schema_before_and_after_compaction(tmp_path) -> None:
    store = RecordStore(tmp_path)
    row, curve = synthetic.trial(0, optimizer="sgd", epochs=3)
    scrambled = {name: row[name] for name in sorted(row)} | {"value": 1, "momentum": np.float32(0.5)}
    store.append([scrambled], [{name: list(curve[name]) for name in sorted(curve, reverse=True)}])
    pending = store.read()
    store.compact()
    for trials, curves in (pending, store.read()):
        documented = re.findall(r"^(\w+) +(?:int64|string|bool|float64) ", records.__doc__ or "", re.M)
        assert list(trials.columns[:10]) == documented[:10]
        assert list(trials.columns[10:12]) == ["learning_rate", "momentum"]
        assert [str(t) for t in trials.dtypes[:5]] == ["int64", "str", "bool", "float64", "str"]
        assert trials["momentum"].dtype == "float64"
        assert list(curves.columns) == ["trial", "epoch", "seconds", "test/loss", "train/loss"]
        assert [str(t) for t in curves.dtypes] == ["int64", "int64", "float64", "float32", "float32"]


def test_a_row_without_a_column_of_the_schema_is_refused_and_leaves_nothing(tmp_path) -> None:
    row, curve = synthetic.trial(0, optimizer="sgd", epochs=3)
    del row["seed"]
    with pytest.raises(ValueError, match="there is no seed"):
        RecordStore(tmp_path).append([row], [curve])
    assert not list(tmp_path.rglob("*"))


def test_one_curve_a_trial_is_needed(tmp_path) -> None:
    row, _ = synthetic.trial(0, optimizer="sgd", epochs=3)
    with pytest.raises(ValueError, match="shorter"):
        RecordStore(tmp_path).append([row], [])
    assert not list(tmp_path.rglob("*"))


def test_a_torn_write_is_ignored_and_swept_up(tmp_path) -> None:
    store = RecordStore(tmp_path)
    append(store, 0)
    (tmp_path / "pending/trials-000001.tmp").write_bytes(b"PAR1 torn")
    assert store.trials()["trial"].tolist() == [0]
    store.compact()
    assert store.trials()["trial"].tolist() == [0]
    assert not (tmp_path / "pending").exists()


def test_compacting_nothing_but_a_torn_write_makes_no_tables(tmp_path) -> None:
    store = RecordStore(tmp_path)
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending/trials-000000.tmp").write_bytes(b"")
    store.compact()
    assert list(tmp_path.iterdir()) == []
    assert store.trials().empty
    assert store.curves().empty


def test_a_trial_that_is_recorded_twice_counts_once(tmp_path) -> None:
    store = RecordStore(tmp_path)
    append(store, 0, 1)
    append(store, 1)
    assert store.trials()["trial"].tolist() == [0, 1]
    assert len(store.curves()) == 10
    store.compact()
    append(store, 1)
    assert store.trials()["trial"].tolist() == [0, 1]
    assert len(store.curves()) == 10


def test_curves_without_a_row_are_not_read(tmp_path) -> None:
    store = RecordStore(tmp_path)
    append(store, 0, 1)
    store.compact()
    trials = pq.read_table(tmp_path / "trials.parquet")
    pq.write_table(trials.slice(0, 1), tmp_path / "trials.parquet")
    assert store.curves()["trial"].unique().tolist() == [0]


class Killed(BaseException):
    """What no `except Exception` stops."""


def _steps_of_compaction(directory: Path) -> list[str]:
    store = RecordStore(directory)
    append(store, 0)
    store.compact()
    append(store, 1)
    append(store, 2)
    steps: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        _on_each_step(patch, lambda name: steps.append(name))
        store.compact()
    return steps


def _on_each_step(patch: pytest.MonkeyPatch, act) -> None:
    """Calls ``act`` before every change that a compaction makes to the disk."""
    for owner, name in ((Path, "replace"), (Path, "unlink"), (Path, "rmdir"), (os, "fsync"), (Path, "open")):
        original = getattr(owner, name)

        def step(*arguments, original=original, name=name, **options):
            act(name)
            return original(*arguments, **options)

        patch.setattr(owner, name, step)


def test_a_compaction_that_is_killed_at_any_step_loses_nothing(tmp_path) -> None:
    steps = _steps_of_compaction(tmp_path / "count")
    assert {"replace", "unlink", "rmdir", "fsync"} <= set(steps)
    expected = RecordStore(tmp_path / "count").read()
    for fatal in range(len(steps)):
        store = RecordStore(tmp_path / str(fatal))
        append(store, 0)
        store.compact()
        append(store, 1)
        append(store, 2)
        done = 0

        def act(name: str, fatal: int = fatal) -> None:
            nonlocal done
            if done == fatal:
                raise Killed(name)
            done += 1

        with pytest.MonkeyPatch.context() as patch:
            _on_each_step(patch, act)
            with pytest.raises(Killed):
                store.compact()
        for when in ("killed", "compacted again"):
            found = store.read()
            pd.testing.assert_frame_equal(found.trials, expected.trials, obj=f"{when}, {fatal}")
            pd.testing.assert_frame_equal(found.curves, expected.curves, obj=f"{when}, {fatal}")
            store.compact()
        assert contents(store).keys() == {"trials.parquet", "curves.parquet"}


def test_a_removal_that_was_killed_leaves_no_epoch_in_the_next_record(tmp_path) -> None:
    store = RecordStore(tmp_path)
    for number in range(2):
        append(store, number)
    store.compact()
    curves = store.curves()
    store.remove([1])
    pq.write_table(pa.Table.from_pandas(curves, preserve_index=False), tmp_path / "curves.parquet")
    row, curve = synthetic.trial(1, optimizer="adam", epochs=1)
    store.append([row], [curve])
    for _ in range(2):
        assert (store.curves()["trial"] == 1).sum() == 1
        store.compact()


def test_an_append_is_on_the_disk_before_and_after_it_gets_its_name(tmp_path, monkeypatch) -> None:
    steps: list[str] = []
    _on_each_step(monkeypatch, steps.append)
    append(RecordStore(tmp_path), 0)
    assert steps == ["open", "fsync", "replace", "fsync"]


def test_the_tables_alone_never_hold_a_trial_without_its_curve(tmp_path, monkeypatch) -> None:
    # What a reader sees that looked for pending files before the trial was appended.
    store, write, seen = RecordStore(tmp_path / "store"), store_module.write_table, []

    def look_after(*arguments, **options) -> None:
        write(*arguments, **options)
        shutil.rmtree(tmp_path / "seen", ignore_errors=True)
        shutil.copytree(tmp_path / "store", tmp_path / "seen", ignore=shutil.ignore_patterns("pending"))
        found = RecordStore(tmp_path / "seen").read()
        seen.append([set() if frame.empty else set(frame["trial"]) for frame in found])

    append(store, 0)
    store.compact()
    append(store, 1)
    monkeypatch.setattr(store_module, "write_table", look_after)
    store.compact()
    assert seen == [[{0}, {0}], [{0, 1}, {0, 1}]]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_reader_beside_a_compaction_misses_nothing(tmp_path, monkeypatch, before) -> None:
    store = RecordStore(tmp_path)
    append(store, 0)
    append(store, 1)
    reader, read = RecordStore(tmp_path), store_module.read_table

    def fold_at_the_first_file(path: Path, **options: object) -> pa.Table | None:
        monkeypatch.setattr(store_module, "read_table", read)
        early = None if before else read(path, **options)
        store.compact()
        return read(path, **options) if before else early

    monkeypatch.setattr(store_module, "read_table", fold_at_the_first_file)
    assert reader.trials()["trial"].tolist() == [0, 1]


def test_load_joins_optimizers_of_different_hyperparameters(tmp_path) -> None:
    for name in ("sgd", "adam"):
        synthetic.write_study(tmp_path, name, trials=3, epochs=4, compact=name == "sgd")
    loaded = records.load("regression", optimizers=["sgd", "adam"], results=tmp_path)
    assert loaded.trials["optimizer"].unique().tolist() == ["sgd", "adam"]
    assert loaded.trials.groupby("optimizer")["momentum"].count().to_dict() == {"sgd": 3, "adam": 0}
    assert loaded.curves.groupby("optimizer").size().to_dict() == {"sgd": 12, "adam": 12}
    assert loaded.curves["test/loss"].dtype == "float32"
    # All of them, by name, is the default.
    assert records.load("regression", results=tmp_path).trials["optimizer"].unique().tolist() == [
        "adam",
        "sgd",
    ]


def test_load_names_what_there_is(tmp_path) -> None:
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2)
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, sampler="random")
    (tmp_path / "records/paper/regression/tpe/muon/pending").mkdir(parents=True)  # begun, nothing finished
    with pytest.raises(
        FileNotFoundError, match=r"no records of muon .* there are: sgd \(samplers.*random, tpe"
    ):
        records.load("regression", optimizers=["sgd", "muon"], results=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no records of mnist .* there are: none"):
        records.load("mnist", results=tmp_path)
    assert records.tasks(results=tmp_path) == ["regression"]
    assert records.samplers("regression", results=tmp_path) == ["random", "tpe"]
    assert records.studies("regression", results=tmp_path) == ["sgd"]


@pytest.mark.parametrize("name", ["seed", "curve", "test/loss", "Beta", "optimizer", "1x"])
def test_a_hyperparameter_cannot_shadow_a_column(name) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        check_hyperparameter_names(["xi", name])


def test_ordinary_hyperparameter_names_pass() -> None:
    check_hyperparameter_names(["xi", "beta1", "learning_rate"])


def test_trials_of_no_study_load_by_name_and_are_listed_nowhere(tmp_path) -> None:
    for sampler in (records.SINGLE, records.FIXED, "random"):
        synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, sampler=sampler)
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, task="mnist", sampler=records.SINGLE)
    assert records.samplers("regression", results=tmp_path) == ["fixed", "random"]
    assert records.searches("regression", results=tmp_path) == ["random"]
    assert records.tasks(results=tmp_path) == ["regression"]
    assert len(records.load("mnist", sampler="single", results=tmp_path).trials) == 3
    with pytest.raises(FileNotFoundError, match="samplers with records: single"):
        records.load("mnist", results=tmp_path)
