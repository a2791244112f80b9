import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis import runs
from induced_metric.analysis.searches import targets
from induced_metric.records import Records, published


def study(curves: dict[str, list[list[float]]], direction: str = "maximize", task: str = "mnist") -> Records:
    """Trials of each optimizer by their curves; an epoch takes as many seconds as its number."""
    trials, epochs = [], []
    for optimizer, given in curves.items():
        for number, values in enumerate(given):
            best = np.argmax(values) if direction == "maximize" else np.argmin(values)
            trials.append(
                {
                    "optimizer": optimizer,
                    "trial": number,
                    "state": "complete",
                    "diverged": bool(np.isnan(values).any()),
                    "value": values[best],
                    "best_epoch": best,
                    "objective": "test/accuracy",
                    "direction": direction,
                    "task": task,
                    "protocol": "paper",
                    "config": "{}",
                }
            )
            epochs += [
                {
                    "optimizer": optimizer,
                    "trial": number,
                    "epoch": epoch,
                    "seconds": epoch + 1.0,
                    "test/accuracy": value,
                }
                for epoch, value in enumerate(values)
            ]
    return Records(pd.DataFrame(trials), pd.DataFrame(epochs).astype({"test/accuracy": np.float32}))


ADAM = [[0.1, 0.98, 0.5], [0.2, 0.3, 0.99], [0.97, 0.9, 0.9], [0.98, np.nan, np.nan]]


def test_the_first_epoch_at_the_target_counts_with_all_seconds_up_to_it() -> None:
    records = study({"adam": ADAM, "sgd": [[0.1, 0.2, 0.3]]})
    # An earlier trial that was pruned, or diverged later, reached it all the same.
    table = targets.time_to_target(records, 0.98, n=3)
    assert table.loc["adam"].to_dict() == {
        "finished": 4,
        "reached": 3,
        "fewest_epochs": 1,
        "fewest_seconds": 1,
        "best_epochs": 3,
        "best_seconds": 6,
        "median_epochs": 3,
        "median_seconds": 6,
    }
    assert table.loc["sgd", ["finished", "reached"]].tolist() == [1, 0]
    assert table.loc["sgd", targets.TIMES].isna().all()


def test_a_run_that_never_reached_it_is_slower_than_all_that_did() -> None:
    records = study({"adam": [*ADAM[:2], [0.1], [0.2]]})
    assert targets.time_to_target(records, 0.98, n=2).loc["adam", "median_epochs"] == 2.5
    assert targets.time_to_target(records, 0.98, n=3).loc["adam", "median_epochs"] == 3
    assert np.isnan(targets.time_to_target(records, 0.98, n=4).loc["adam", "median_epochs"])


def test_trials_that_all_failed_before_their_first_epoch_reach_nothing() -> None:
    own = study({"adam": [[0.5], [0.6]]})
    lost = Records(
        own.trials.assign(state="failed", epochs=0), own.curves.iloc[:0].drop(columns="test/accuracy")
    )
    assert targets.first_reached(lost, 0.5).empty
    assert targets.time_to_target(lost, 0.5, 1)["reached"].fillna(0).tolist() == [0]


def test_a_loss_reaches_it_from_above() -> None:
    records = study({"adam": [[0.5, 0.4, 0.2, 0.3]]}, "minimize")
    assert targets.time_to_target(records, 0.4, n=1).loc["adam", "fewest_epochs"] == 2
    assert targets.time_to_target(records, 0.1, n=1).loc["adam", "reached"] == 0


def test_published_seconds_stand_beside_ours() -> None:
    table = targets.time_to_target_table("mnist", {"tpe": study({"adam": ADAM, "muon": ADAM})}, n=3)
    assert "a test accuracy of at least the target on the mnist task" in table.title
    assert "median of the 3 best runs" in table.title
    lines = table.markdown().splitlines()
    # Epochs rank; seconds, which follow the load of a machine, do not.
    assert "| MUON | published | 0.98 | – | – | – | – | 5.60 | – | – |" in lines
    assert "| MUON | tpe | 0.98 | 3/4 | **1** | 1.00 | **3** | 6.00 | **3.0** | 6.00 |" in lines
    assert "| SGD | published | 0.98 | – | – | – | – | 2.70 | – | – |" in lines
    assert "fewest epochs of each source" in table.title
    assert table.notes[0] == "Target 0.98: the paper's."
    assert any("different hardware" in note for note in table.notes)


def test_the_published_seconds_do_not_stand_beside_those_of_other_rules() -> None:
    (trials, curves) = study({"adam": ADAM})
    ours = {"tpe": Records(trials.assign(protocol="fair"), curves)}
    assert set(targets.time_to_target_table("mnist", ours, n=3).data["source"]) == {"tpe"}


def test_targets_that_are_given_stand_one_after_the_other_and_have_nothing_published() -> None:
    ours = {"tpe": study({"muon": ADAM, "adam": ADAM}), "random": study({"adam": ADAM})}
    table = targets.time_to_target_table("mnist", ours, n=3, targets=[0.97, 0.5])
    assert table.data[["target", "optimizer", "source"]].to_numpy().tolist() == [
        [target, *row]
        for target in (0.97, 0.5)
        for row in (["adam", "tpe"], ["adam", "random"], ["muon", "tpe"])
    ]
    assert len(table.notes) == 1
    assert "Rank by epochs" in table.notes[0]
    assert "–" not in table.markdown()


@pytest.mark.parametrize(
    ("direction", "values", "target"),
    [
        ("maximize", [0.93471, 0.5, 0.97], 0.934),
        ("maximize", [0.93471, 0.97], 0.934),
        ("minimize", [5.1234, 4.0, 9.0], 5.13),
        ("minimize", [0.012341, 0.0], 0.0124),
    ],
)
def test_a_task_without_a_target_has_one_that_half_of_the_optimizers_reach(direction, values, target) -> None:
    records = study(
        {f"o{place}": [[value], [value]] for place, value in enumerate(values)}, direction, "small"
    )
    table = targets.time_to_target_table("small", {"tpe": records}, n=1)
    assert table.data["target"].unique().tolist() == [target]
    assert (table.data["reached"] > 0).mean() >= 0.5
    assert f"Target {target}: the median over the optimisers" in table.notes[0]


def test_no_complete_trial_is_said() -> None:
    with pytest.raises(ValueError, match="no complete trial"):
        targets.time_to_target_table("small", {"tpe": study({"adam": [[np.nan]]})}, n=1)


def test_every_task_of_the_paper_has_a_target_and_only_mnists_is_the_papers() -> None:
    tasks = ["regression", "mnist", "cifar10", "shakespeare"]
    origins = {task: published.targets(task).iloc[0] for task in tasks}
    assert [task for task in tasks if origins[task] == "the paper's"] == ["mnist"]
    assert published.targets("mnist").index.tolist() == [0.98]
    assert published.targets("mnist_small").empty
    assert published.time_to_target("mnist")["optimizer"].tolist() == published.optimizers()


def test_studies_of_different_directions_have_no_common_target() -> None:
    ours = {"tpe": study({"adam": ADAM}), "random": study({"adam": ADAM}, "minimize")}
    with pytest.raises(ValueError, match=r"test/accuracy \(maximize\), test/accuracy \(minimize\)$"):
        runs.objective(ours)
