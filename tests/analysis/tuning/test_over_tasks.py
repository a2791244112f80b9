"""Optimizers over several tasks: who comes first, whether the orders agree, what is left out."""

import numpy as np
import pytest
import synthetic

from induced_metric.analysis import making, reports
from induced_metric.analysis.tuning import over_tasks, overview
from induced_metric.records import CONFIRMED, Records

SEEDS = 12


def family(task: str, means: dict[str, float], *, maximize: bool = False) -> dict[str, Records]:
    """Two studies of each optimizer and their confirmations, by ``<task>/<sampler>``."""
    objective = {"objective": "test/accuracy", "direction": "maximize"} if maximize else {}
    noise = np.random.default_rng(0).normal(scale=1e-4, size=(len(means), 2, SEEDS))
    found = {}
    for place, study in enumerate(("tpe", "tpe-seed1")):
        found[f"{task}/{study}"] = synthetic.joined(
            *(
                synthetic.study_of(name, np.full(3, mean), sampler=study, task=task, **objective)
                for name, mean in means.items()
            )
        )
        found[f"{task}/{study}{CONFIRMED}"] = synthetic.joined(
            *(
                synthetic.study_of(
                    name,
                    mean + own[place],
                    sampler=f"{study}{CONFIRMED}",
                    first_seed=50,
                    task=task,
                    **objective,
                )
                for (name, mean), own in zip(means.items(), noise, strict=True)
            )
        )
    return found


LOSSES = family("one", {"adamw": 0.2, "sgd": 0.3, "muon": 0.1, "sgd_rms": 0.4})
ACCURACIES = family("two", {"adamw": 0.8, "sgd": 0.7, "muon": 0.9}, maximize=True)


def test_first_come_those_on_all_tasks_by_how_often_they_beat_the_baseline() -> None:
    tasks = over_tasks.compare(LOSSES | ACCURACIES)
    assert tasks.against == "adamw"
    assert tasks.order == ["muon", "adamw", "sgd", "sgd_rms"]
    own = {name.split("/")[1]: study for name, study in LOSSES.items()}
    again = {name: own.pop(name) for name in list(own) if name.endswith(CONFIRMED)}
    alone = overview.against_baseline("one", again, own).set_index("optimizer")
    assert tasks.tables["one"]["difference"].equals(alone["difference"])


@pytest.mark.parametrize(("sgd", "muon", "correlation"), [(0.7, 0.9, 1.0), (0.9, 0.7, -1.0)])
def test_orders_agree_where_who_is_good_at_one_is_good_at_the_other(sgd, muon, correlation) -> None:
    other = family("two", {"adamw": 0.8, "sgd": sgd, "muon": muon}, maximize=True)
    (row,) = over_tasks.agreements(over_tasks.compare(LOSSES | other)).to_dict("records")
    assert (row["task"], row["other"], row["optimizers"]) == ("one", "two", 3)
    assert row["correlation"] == pytest.approx(correlation)


def test_of_two_optimizers_no_order_is_compared() -> None:
    other = family("two", {"adamw": 0.8, "sgd": 0.7}, maximize=True)
    tasks = over_tasks.compare(LOSSES | other)
    assert over_tasks.agreements(tasks).empty
    assert list(over_tasks.agreements(tasks)) == ["task", "other", "correlation", "p", "optimizers"]


@pytest.mark.parametrize(
    "other",
    [
        {},
        family("two", {"sgd": 0.7, "muon": 0.9}, maximize=True),
        {name: study for name, study in ACCURACIES.items() if not name.endswith(CONFIRMED)},
    ],
    ids=["no other task", "without the baseline", "not confirmed"],
)
def test_less_than_two_tasks_that_can_be_compared_make_nothing(other) -> None:
    assert over_tasks.compare(LOSSES | other) is None
    assert over_tasks.tasks_table("tpe", LOSSES | other) is None
    assert over_tasks.tasks_figure(LOSSES | other) is None


def test_the_table_and_the_figure_show_all_of_it() -> None:
    table = over_tasks.tasks_table("tpe", LOSSES | ACCURACIES)
    assert table.bold["one: P(better)"].tolist() == [True, False, True, True]
    assert table.bold["two: P(better)"].tolist() == [True, False, True, False]
    assert table.cells["two: P(better)"].tolist() == ["1.00", "–", "0.00", "–"]
    assert table.cells["two: test accuracy"].tolist()[-1] == "–"
    assert table.data.set_index("optimizer").loc["sgd", "one: superiority"] == 0
    losses = table.cells["one: test loss"].astype(float)
    assert losses[:2].tolist() == pytest.approx([0.1, 0.2], abs=1e-3)  # the others are beyond the support
    assert any("one and two 1.00 over 3 (p" in note for note in table.notes)
    assert any(
        note.endswith("of the same task, over its optimisers: one 1.00, two 1.00.") for note in table.notes
    )
    figure = over_tasks.tasks_figure(LOSSES | ACCURACIES)
    assert [axes.get_title() for axes in figure.axes] == [
        "one\nloss", "\nP(better)", "two\naccuracy", "\nP(better)"
    ]  # fmt: skip
    assert "means on test" in figure.get_suptitle()
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert written[4:8] == ["1.00*", "–", "0.00*", "0.00*"]
    assert written[8:12] == table.cells["two: test accuracy"].tolist()


@pytest.mark.slow
def test_it_is_made_of_the_records_of_every_task_with_confirmations(tmp_path, monkeypatch) -> None:
    for task, objective in (("regression", "test/loss"), ("mnist", "test/accuracy"), ("other", "test/loss")):
        for sampler in ("tpe", f"tpe{CONFIRMED}", "random")[: None if task != "other" else 1]:
            for name in ("adamw", "sgd", "muon"):
                synthetic.write_study(
                    tmp_path, name, trials=6, epochs=4, task=task, objective=objective, sampler=sampler
                )
    own = tuple(report for report in reports.REPORTS if report.of == reports.CONFIRMED_TASKS)
    monkeypatch.setattr(reports, "REPORTS", own)
    for kind in ("tables", "figures"):
        (planned,) = making.plan(kind, "regression", results=tmp_path)
        assert planned.stem == tmp_path / kind / "paper-tasks-tpe-overview"
        assert list(planned.material.ours) == [
            f"{task}/{sampler}" for task in ("mnist", "regression") for sampler in ("tpe", f"tpe{CONFIRMED}")
        ]
        assert planned.make() is not None
