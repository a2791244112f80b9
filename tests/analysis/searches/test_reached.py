"""Time to target: cumulative curves, costs over tasks, performance profiles, and the figures."""

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis import runs
from induced_metric.analysis.searches import reached, reached_figures
from induced_metric.analysis.searches.reached import Target
from induced_metric.records import Records


def records_of(curves: dict[str, list[list[float]]], direction: str = "minimize") -> Records:
    """Trials by their curves of the objective."""
    trials, epochs = [], []
    for name, own in curves.items():
        for number, curve in enumerate(own):
            trials.append({"optimizer": name, "trial": number, "epochs": len(curve), "objective": "test/loss",
                           "direction": direction})  # fmt: skip
            epochs.append(
                pd.DataFrame(
                    {"optimizer": name, "trial": number, "epoch": range(len(curve)), "seconds": 1.0,
                     "test/loss": curve}
                )
            )  # fmt: skip
    return Records(pd.DataFrame(trials), pd.concat(epochs, ignore_index=True))


TASK = records_of({"adam": [[3, 2, 1], [3, 3, 3]], "sgd": [[1, 1, 1], [3, np.nan]]})


def test_the_cumulative_curve_counts_misses_for_ever() -> None:
    table = reached.cumulative(TASK, 1.0)
    shares = {name: own["share"].tolist() for name, own in table.groupby("optimizer")}
    assert shares == {"adam": [0, 0, 0, 0.5], "sgd": [0, 0.5, 0.5, 0.5]}
    higher = reached.cumulative(records_of({"adam": [[1, 2]]}, "maximize"), 2.0)
    assert higher["share"].tolist() == [0, 0, 1]


def test_the_cost_is_of_trials_drawn_anew_until_one_succeeds() -> None:
    table = reached.over_tasks({"a": TASK}, {"a": Target(1.0, named=True)}).set_index("optimizer")
    assert table["reached"].tolist() == [1, 1]
    assert table.loc["adam", "cost"] == 3 + 3
    assert table.loc["sgd", "cost"] == 1 + 2  # the one that diverged had run two
    never = reached.over_tasks({"a": TASK}, {"a": Target(0.5, named=True)})
    assert np.isinf(never["cost"]).all()


def test_the_profile_is_the_share_of_tasks_within_a_factor_of_the_least() -> None:
    table = pd.DataFrame(
        {
            "task": ["a", "b", "c", "d"] * 2,
            "optimizer": ["adam"] * 4 + ["sgd"] * 4,
            "cost": [10.0, 20, np.inf, np.inf, 20, 10, 5, np.inf],
        }
    )
    profile = reached.performance_profile(table)
    at = profile.pivot_table(index="ratio", columns="optimizer", values="share")
    assert at.index.tolist() == [1, 2]
    assert at["adam"].tolist() == [0.25, 0.5]
    assert at["sgd"].tolist() == [0.5, 0.75]  # d is solved by nobody and counts
    with pytest.raises(ValueError, match="every optimiser on every task, got only some tasks for sgd"):
        reached.performance_profile(table.iloc[:-1])


def test_a_target_is_the_named_one_or_says_that_it_is_not(ours) -> None:
    assert reached.target_of("regression", ours, 2) == Target(0.05, named=True)
    assert not reached.target_of("regression_128", ours, 2).named


def test_the_figure_names_task_target_and_n(ours) -> None:
    figure = reached_figures.reached_figure("regression", ours, 2)
    assert figure.get_suptitle() == "regression (our runs, protocol paper): test loss ≤ 0.05"
    assert [axes.get_title() for axes in figure.axes] == ["tpe (n = 8)", "random (n = 5)"]
    unnamed = reached_figures.reached_figure("regression_128", ours, 2)
    assert unnamed.get_suptitle().endswith("(target derived from these records)")


def test_tasks_without_an_optimizer_in_common_have_no_figure() -> None:
    tasks = {"a": records_of({"adam": [[3, 2, 1]]}), "b": records_of({"sgd": [[3, 2, 1]]})}
    goals = dict.fromkeys(tasks, Target(1.0, named=True))
    assert reached_figures.tasks_figure(tasks, goals) is None


def test_over_tasks_the_heat_map_has_a_row_an_optimizer_and_a_column_a_task(results) -> None:
    tasks = {
        name: runs.load_samplers(name, ["tpe"], results=results)["tpe"] for name in ("regression", "mnist")
    }
    goals = {name: reached.target_of(name, {"": found}, 2) for name, found in tasks.items()}
    heat, profile = reached_figures.tasks_figure(tasks, goals).axes
    assert heat.get_images()[0].get_array().shape == (7, 2)
    assert profile.get_title() == "tasks (of 2) solved within this factor"
    assert len([line for line in profile.lines if line.get_linestyle() != "None"]) == 2  # on both: two only
    table = reached.tasks_table("tpe", tasks, goals)
    assert table.cells["Target"].tolist().count("0.98") == 2
    assert "2 tasks are few" in table.notes[0]
