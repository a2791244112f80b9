"""The figure of the learning rate: every trial, the effective rate, and the bound of the search."""

import json

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.searches import response

CONFIG = json.dumps({"search_space": {"learning_rate": {"low": 1e-5, "high": 1.0, "log": True}}})


def trials(size: int = 200, **columns: object) -> pd.DataFrame:
    """Two optimizers whose loss is least at a rate of 0.01, with heavy-ball SGD among them."""
    rng = np.random.default_rng(0)
    rate = 10 ** rng.uniform(-5, 0, size)
    one = pd.DataFrame({"trial": range(size), "learning_rate": rate, "momentum": 0.9}).assign(
        value=0.1 * (1 + np.log10(rate / 0.01) ** 2) * np.exp(rng.gamma(2, 0.2, size)), state="complete",
        diverged=False, objective="test/loss", direction="minimize", config=CONFIG, task="regression",
        protocol="fair", sampler="tpe",
    )  # fmt: skip
    both = pd.concat([one.assign(optimizer="sgd"), one.assign(optimizer="sgd_metric")], ignore_index=True)
    return both.assign(**columns)


def dots(axes) -> list:
    return [line for line in axes.lines if line.get_linestyle() == "None"]


def lines(axes) -> list:
    return [line for line in axes.lines if line.get_linestyle() == "-"]


def test_only_heavy_ball_momentum_sums_gradients() -> None:
    found = trials(3)
    ratio = response.effective(found) / found["learning_rate"]
    assert ratio.tolist() == pytest.approx([10, 10, 10, 1, 1, 1])


def test_whoever_is_set_to_heavy_ball_sums_them_too() -> None:
    found = trials(2, config=json.dumps({"optimizer": {"heavy_ball": True}}))
    assert response.heavy_ball(found) == {"sgd", "sgd_metric"}
    assert (response.effective(found) / found["learning_rate"]).tolist() == pytest.approx([10] * 4)


@pytest.mark.parametrize(
    ("name", "settings", "momentum"),
    [
        ("sgd+cosine", {"_target_": "induced_metric.sgd"}, "momentum"),
        ("sgd+cosine", {}, "momentum"),
        ("sgd_clipped", {"_target_": "induced_metric.optimizers.sgd_clipped"}, "momentum"),
        ("sgd_nesterov", {"direction": {"_target_": "optax.trace"}}, "direction.decay"),
    ],
)
def test_every_sum_of_gradients_has_its_effective_rate(name, settings, momentum) -> None:
    found = trials(2).rename(columns={"momentum": momentum})
    own = found["optimizer"] == "sgd"
    found.loc[own, "config"] = json.dumps({"optimizer": settings})
    found.loc[own, "optimizer"] = name
    ratio = response.effective(found) / found["learning_rate"]
    assert ratio.tolist() == pytest.approx([10, 10, 1, 1])


@pytest.mark.parametrize("share", [0, 0.05])
def test_trials_that_all_but_diverge_take_no_room_from_the_others(share) -> None:
    found = trials()
    value = found["value"].to_numpy()
    found["value"] = np.where(np.arange(len(value)) % 20 < 20 * share, 1e9 * value, value)
    (_, limit) = response.learning_rate(found).axes[0].get_ylim()
    at_edge = (found["value"] > limit).mean()
    assert np.quantile(value, 0.95) < limit < 20 * np.quantile(value, 0.95)
    assert share <= at_edge <= share + 0.02


def test_every_trial_is_a_dot_at_its_rate_and_value() -> None:
    found = trials(diverged=[True] + [False] * 399)
    left, right = response.learning_rate(found).axes
    assert [len(line.get_xdata()) for line in dots(left)] == [199, 200]
    metric = found[found["optimizer"] == "sgd_metric"]
    limit = left.get_ylim()[1] / 1.03
    assert dots(left)[1].get_ydata() == pytest.approx(metric["value"].clip(upper=limit))
    assert dots(right)[1].get_xdata().tolist() == metric["learning_rate"].tolist()
    assert dots(right)[0].get_xdata() == pytest.approx(10 * dots(left)[0].get_xdata())
    assert left.figure.get_suptitle() == (
        "regression (our runs, protocol fair, tpe):\n"
        f"200 trials per optimiser, above {limit:.3g} drawn at the edge"
    )


def test_lines_are_the_best_tenth_of_a_bin_and_a_diverged_trial_is_its_worst() -> None:
    rate, cost = pd.Series([1.0] * 20), pd.Series(np.arange(20.0))
    edges = np.array([0.5, 2.0, 8.0])
    assert response.best_tenth(rate, cost, edges).to_numpy().tolist() == [[1.0, 1.0]]
    apart = response.best_tenth(rate.where(cost % 2 == 0, 1.44), cost, edges)
    assert apart.to_numpy() == pytest.approx(np.array([[1.2, 1.0]]))  # amid the trials, not the edges
    assert response.best_tenth(rate, cost.where(cost > 1, np.inf), edges)["cost"].tolist() == [3.0]
    assert response.best_tenth(rate, cost * np.inf + 1, edges).empty
    assert response.best_tenth(rate[:7], cost[:7], edges).empty
    (line, _) = lines(response.learning_rate(trials()).axes[0])
    best = line.get_xdata()[np.argmin(line.get_ydata())]
    assert 3e-3 < best < 3e-2


def test_the_bound_of_the_search_is_drawn() -> None:
    for axes in response.learning_rate(trials()).axes:
        assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [1e-5, 1.0]
    wider = trials()
    wider.loc[wider["optimizer"] == "sgd", "config"] = CONFIG.replace("1.0", "10.0")
    assert response.bounds(wider) == {"sgd": (1e-5, 10.0), "sgd_metric": (1e-5, 1.0)}
    assert response.bounds(wider.assign(config="{}")) == {}


def test_without_heavy_ball_momentum_one_panel_says_all() -> None:
    found = trials()
    assert len(response.learning_rate(found[found["optimizer"] != "sgd"]).axes) == 1


def test_of_an_accuracy_the_distance_to_one_is_drawn() -> None:
    found = trials(objective="test/accuracy", direction="maximize")
    found["value"] = 1 - found["value"] / 100
    axes = response.learning_rate(found).axes[0]
    assert axes.get_ylabel().startswith("1 - max test accuracy")
    assert axes.get_yscale() == "log"
    assert dots(axes)[0].get_ydata().min() == pytest.approx((1 - found["value"]).min())


def test_a_few_trials_are_shapes_without_a_line() -> None:
    axes = response.learning_rate(trials(16)).axes[0]
    assert [line.get_marker() for line in dots(axes)] == ["D", "v"]
    assert [len(line.get_xdata()) for line in lines(axes)] == [0, 0]


def test_optimisers_without_a_learning_rate_have_no_such_figure() -> None:
    assert response.learning_rate(trials().drop(columns="learning_rate")) is None
    assert response.learning_rate(trials(learning_rate=np.nan)) is None


def test_a_choice_of_rates_has_no_ends() -> None:
    config = json.dumps({"search_space": {"learning_rate": {"choices": [0.01, 0.1]}}})
    found = trials(config=config)
    assert response.bounds(found) == {}
    assert response.learning_rate(found) is not None


def test_nothing_to_show_is_said() -> None:
    with pytest.raises(ValueError, match="no complete trial"):
        response.learning_rate(trials(diverged=True))
