"""All optimizers against one: rows, verdicts as seen from the others, figures without room for all."""

import numpy as np
import pandas as pd
import pytest
import synthetic

from induced_metric.analysis import making, reports
from induced_metric.analysis.confirmations import confirmed, verdicts
from induced_metric.analysis.tuning import overview
from induced_metric.records import CONFIRMED, Records

SEEDS = 12
COSTS = pd.Series({"adamw": 2.0, "sgd": 1.0, "muon": 3.0})


@pytest.fixture
def searches() -> dict[str, Records]:
    """Two studies of three optimizers."""
    return {
        name: synthetic.joined(
            synthetic.study_of("adamw", np.array([0.9, best, 0.5, 0.5, 0.5]), sampler=name),
            synthetic.study_of("sgd", np.array([0.9, 2 * best, 0.5, 0.5, 0.5]), sampler=name),
            synthetic.study_of("muon", np.array([0.8, 0.7, 0.6, 0.6, 0.6]), sampler=name),
        )
        for name, best in (("tpe", 0.1), ("tpe-seed1", 0.12))
    }


@pytest.fixture
def ours() -> dict[str, Records]:
    """Their winners from the same fresh seeds: sgd is worse than adamw, muon better."""
    noise = np.random.default_rng(0).normal(scale=0.001, size=(2, SEEDS))
    return {
        f"{name}{CONFIRMED}": synthetic.joined(
            *(
                synthetic.study_of(
                    optimizer, mean + own[place], sampler=f"{name}{CONFIRMED}", first_seed=50
                )
                for optimizer, mean, own in (
                    ("adamw", 0.15, noise), ("sgd", 0.3, noise[:, ::-1]), ("muon", 0.1, 2 * noise),
                )
            )
        )
        for place, name in enumerate(("tpe", "tpe-seed1"))
    }  # fmt: skip


def test_a_row_is_an_optimizer_as_seen_against_the_baseline(ours, searches) -> None:
    table = overview.overview("regression", ours, searches, COSTS)
    assert table["optimizer"].tolist() == ["muon", "adamw", "sgd"]
    own = table.set_index("optimizer")
    assert own["mean"].tolist() == pytest.approx(
        confirmed.standings("regression", ours, searches).set_index("optimizer")["mean"][own.index].tolist()
    )
    assert own["difference"].drop("adamw").tolist() == pytest.approx(
        np.log(own["mean"] / own.loc["adamw", "mean"]).drop("adamw").tolist()
    )
    pairs = verdicts.families(own.index)[0]
    judged = confirmed.judged(ours, searches, pairs=pairs).set_index(["optimizer", "other"])
    assert judged.loc[("adamw", "sgd"), "verdict"] == "better"
    assert own["verdict"].drop("adamw").tolist() == ["better", "worse"]
    assert own["superiority"].drop("adamw").tolist() == [1.0, 0.0]
    assert own.loc["adamw", ["difference", "superiority", "verdict"]].isna().all()
    assert own["cost"].tolist() == [1.5, 1.0, 0.5]


def test_the_searches_are_those_of_the_confirmed_family(ours, searches) -> None:
    more = searches | {"random": synthetic.study_of("adamw", np.full(10, 0.01), sampler="random")}
    table = overview.overview("regression", ours, more, pd.Series(dtype=float)).set_index("optimizer")
    assert table.loc["adamw", "best_5"] == pytest.approx((0.1 + 0.12) / 2)
    assert "best_10" not in table  # of five trials
    assert table["cost"].isna().all()


def test_the_table_and_the_figure_show_all_of_it(ours, searches) -> None:
    table = overview.overview_table("regression", ours, searches, COSTS)
    assert table.cells["Optimiser"].tolist() == ["MUON", "ADAMW", "SGD"]
    assert table.cells["Against ADAMW"].tolist() == ["better", "–", "worse"]
    assert table.cells["Epoch"].tolist() == ["1.50", "1.00", "0.50"]
    without = overview.overview_table("regression", ours, searches, pd.Series(dtype=float))
    assert "Epoch" not in without.cells
    assert "Epoch" not in "".join(without.notes)
    figure = overview.overview_figure("regression", ours, searches, COSTS)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["MUON", "ADAMW", "SGD"]
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert written == [
        *table.cells["Mean"], "1.00*", "–", "0.00*", *table.cells["Best of 5"], *table.cells["Epoch"]
    ]  # fmt: skip


def test_a_single_optimizer_has_none(ours, searches) -> None:
    alone = {
        name: Records(found.trials[found.trials["optimizer"] == "sgd"], found.curves)
        for name, found in ours.items()
    }
    assert overview.overview_table("regression", alone, searches, COSTS) is None
    assert overview.overview_figure("regression", alone, searches, COSTS) is None


def test_a_figure_without_room_says_so_and_shows_the_papers_and_the_best_of_the_others(
    tmp_path, monkeypatch
) -> None:
    for name in ("adam", "sgd", "muon"):
        synthetic.write_study(tmp_path, name, trials=5, epochs=4)
    monkeypatch.setattr(
        reports,
        "REPORTS",
        tuple(
            report._replace(most=2)
            for report in reports.REPORTS
            if (report.kind, report.name) in {("figures", "best_scatter"), ("tables", "")}
        ),
    )
    monkeypatch.setattr(making.style, "is_published", lambda name: name == "sgd")
    (figure,) = making.plan("figures", "regression", results=tmp_path)
    (table,) = making.plan("tables", "regression", results=tmp_path)
    best = table.material.only.trials.groupby("optimizer")["value"].min()
    assert set(table.material.only.trials["optimizer"]) == {"adam", "sgd", "muon"}
    kept = {"sgd", best.drop("sgd").idxmin()}
    assert set(figure.material.only.trials["optimizer"]) == kept
    assert set(figure.material.only.curves["optimizer"]) == kept
    assert "(1 more optimiser: see overview)" in figure.make().get_suptitle()


def test_the_confirmations_shown_are_the_best_of_fresh_seeds_not_of_the_search(tmp_path, monkeypatch) -> None:
    for sampler in ("tpe", f"tpe{CONFIRMED}"):
        for name in ("adam", "sgd", "muon"):
            synthetic.write_study(tmp_path, name, trials=5, epochs=4, sampler=sampler)
    best = {"tpe": "adam", f"tpe{CONFIRMED}": "muon"}
    for sampler, leader in best.items():
        for path in (tmp_path / "records").rglob(f"{sampler}/*/trials.parquet"):
            trials = pd.read_parquet(path)
            ahead = 0.01 if path.parent.name == leader else 1.0
            trials.assign(value=ahead * (1 + trials["trial"] / 10)).to_parquet(path)
    monkeypatch.setattr(
        reports,
        "REPORTS",
        tuple(
            report._replace(most=1)
            for report in reports.REPORTS
            if (report.kind, report.name) in {("figures", "confirmed"), ("figures", "tuning")}
        ),
    )
    monkeypatch.setattr(making.style, "is_published", lambda _: False)
    shown = {
        planned.report.name: set(next(iter(planned.material.ours.values())).trials["optimizer"])
        for planned in making.plan("figures", "regression", results=tmp_path)
    }
    assert shown == {"confirmed": {"muon"}, "tuning": {"adam"}}


def test_a_figure_leaves_out_none_that_its_own_search_has_room_for(tmp_path, monkeypatch) -> None:
    for sampler, names in (("tpe", ("adam", "sgd", "muon")), ("random", ("sgd", "muon"))):
        for name in names:
            synthetic.write_study(tmp_path, name, trials=5, epochs=4, sampler=sampler)
    scatter = next(each for each in reports.REPORTS if each.name == "learning_rate")
    monkeypatch.setattr(reports, "REPORTS", (scatter._replace(most=2),))
    monkeypatch.setattr(making.style, "is_published", lambda name: name == "adam")
    left_out = {
        planned.stem.name: planned.left_out
        for planned in making.plan("figures", "regression", results=tmp_path)
    }
    assert left_out == {"paper-regression-tpe-learning_rate": 1, "paper-regression-random-learning_rate": 0}


def test_a_figure_over_tasks_shows_the_same_ones_whichever_task_is_asked_for(tmp_path, monkeypatch) -> None:
    for task, names in (("regression", ("adam", "sgd", "muon")), ("other", ("adam", "sgd", "adamw"))):
        for name in names:
            synthetic.write_study(tmp_path, name, trials=5, epochs=4, task=task)
    monkeypatch.setattr(
        reports,
        "REPORTS",
        tuple(
            each._replace(most=2) for each in reports.REPORTS if each.kind == "figures" and each.of == "tasks"
        ),
    )
    monkeypatch.setattr(making.style, "is_published", lambda name: name == "sgd")
    shown = []
    for task in ("regression", "other"):
        (figure,) = making.plan("figures", task, results=tmp_path)
        shown.append({name for found in figure.material.ours.values() for name in found.trials["optimizer"]})
        assert figure.left_out == 2
    # The paper's, and the one that all tasks have.
    assert shown == [{"sgd", "adam"}] * 2
