"""What an optimiser loses from its best epoch to its last."""

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.confirmations import hierarchy, last_epoch
from induced_metric.records import Records

EPOCHS, SEEDS = 5, 4


def study(
    factor: dict[str, float], *, diverged: tuple[str, int] | None = None, kind: str = "loss"
) -> Records:
    """Trainings that are best in the fourth of five epochs, then worse by a factor, an accuracy by that."""
    trials, curves = [], []
    for name, worse in factor.items():
        for seed in range(SEEDS):
            best = 0.1 * (1 + seed)
            values = best * np.array([3.0, 2.0, 1.5, 1.0, worse])
            if kind == "accuracy":
                values = np.array([0.1, 0.2, 0.3, best, best - worse])
            lost = diverged == (name, seed)
            trials.append(
                {
                    "optimizer": name, "trial": seed, "seed": seed, "state": "complete", "diverged": lost,
                    "value": np.inf if lost else best, "objective": f"test/{kind}",
                    "direction": "minimize" if kind == "loss" else "maximize",
                    "best_epoch": -1 if lost else 3, "epochs": EPOCHS, "config": "{}",
                }
            )  # fmt: skip
            curves.append(
                pd.DataFrame(
                    {"optimizer": name, "trial": seed, "epoch": range(EPOCHS), f"test/{kind}": values}
                )
            )
    return Records(pd.DataFrame(trials), pd.concat(curves[::-1], ignore_index=True))


def test_losses_are_compared_as_ratios_and_the_smallest_comes_first() -> None:
    ours = {name: study({"adamw": 1.5, "sgd": 1.1}) for name in ("tpe-confirmed", "tpe-seed1-confirmed")}
    table = last_epoch.lost(ours)
    assert table["optimizer"].tolist() == ["sgd", "adamw"]
    assert np.exp(table["difference"]).tolist() == pytest.approx([1.1, 1.5])
    np.testing.assert_allclose(table[["low", "high"]].T, [table["difference"]] * 2)
    assert (table["last"] / table["best"]).tolist() == pytest.approx([1.1, 1.5])
    assert table["best"].iloc[0] == pytest.approx(np.exp(np.log([0.1, 0.2, 0.3, 0.4]).mean()))
    assert (table["studies"] == 2).all()
    assert (table[["seeds", "best_epoch", "epochs"]] == [4, 4, 5]).all(axis=None)


def test_the_intervals_hold_for_all_optimisers_at_once() -> None:
    noise = dict(zip(range(SEEDS), (0.9, 1.2, 1.0, 1.3), strict=True))
    ours = {"fixed": study({"adamw": 1.5, "sgd": 1.1})}
    curves = ours["fixed"].curves
    last = curves["epoch"] == EPOCHS - 1
    curves.loc[last, "test/loss"] *= curves.loc[last, "trial"].map(noise)
    table = last_epoch.lost(ours).set_index("optimizer")
    for name, worse in (("adamw", 1.5), ("sgd", 1.1)):
        ratios = np.log(worse * np.array(list(noise.values())))
        expected = hierarchy.estimate(ratios[None]).interval(1 - 0.05 / 2)
        assert table.loc[name, ["low", "high"]].tolist() == pytest.approx(expected)


def test_accuracies_are_compared_as_differences() -> None:
    table = last_epoch.lost({"fixed": study({"adamw": 0.02, "sgd": 0.01}, kind="accuracy")})
    assert table["optimizer"].tolist() == ["sgd", "adamw"]
    assert table["difference"].tolist() == pytest.approx([-0.01, -0.02])


def test_a_seed_from_which_a_training_was_lost_is_left_out() -> None:
    ours = {
        "tpe-confirmed": study({"adamw": 1.5}, diverged=("adamw", 0)),
        "tpe-seed1-confirmed": study({"adamw": 1.5}),
    }
    table = last_epoch.lost(ours)
    assert table["seeds"].item() == SEEDS - 1
    assert table["left_out"].item() == 1
    note = "have no such last epoch: ADAMW 1. Their seeds are left out,"
    assert note in last_epoch.last_epoch_table("mnist", ours).notes[-1]
    assert table["best"].item() == pytest.approx(np.exp(np.log([0.2, 0.3, 0.4]).mean()))


def test_the_table_says_by_what_the_best_epoch_was_chosen() -> None:
    ours = {"fixed": study({"adamw": 1.5, "sgd": 1.1})}
    made = last_epoch.last_epoch_table("regression", ours)
    assert made.cells["Ratio"].tolist() == ["1.100", "1.500"]
    assert made.cells["Best epoch is"].tolist() == ["4 of 5"] * 2
    assert "The best epoch is that of the best test loss." in made.title


def test_where_nothing_ended_there_is_no_table() -> None:
    lost = study({"adamw": 1.5})
    lost.trials["diverged"] = True
    assert last_epoch.last_epoch_table("regression", {"fixed": lost}) is None
