"""The scatter of the best runs: every run a point, the paper's mean beside them."""

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from induced_metric.analysis import runs, style
from induced_metric.analysis.searches import scatter
from induced_metric.records import published


def points(axes, name) -> list[tuple[str, set]]:
    """Shapes and places of an optimizer's own runs."""
    own = [line for line in axes.lines if to_hex(line.get_color()) == style.colour(name).lower()]
    return [
        (line.get_marker(), set(zip(line.get_xdata(), line.get_ydata(), strict=True)))
        for line in own
        if line.get_alpha()  # not the published mean
    ]


def test_every_best_run_is_a_point_of_its_sampler_in_the_panel_of_its_optimizer(ours) -> None:
    figure = scatter.best_scatter("regression", ours, n=3)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title().lower() for axes in panels] == published.optimizers()
    for axes, name in zip(panels, published.optimizers(), strict=True):
        for (shape, shown), (source, expected) in zip(
            points(axes, name), zip(ours, "ox", strict=True), strict=True
        ):
            best = runs.top(ours[source].trials, 3)
            best = best[best["optimizer"] == name]
            assert shape == expected
            assert shown == set(zip(best["best_epoch"] + 1, best["value"], strict=True))
        grey = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == ".")
        every = sum(len(runs.top(records.trials, 3)) for records in ours.values())
        assert grey + sum(len(shown) for _, shown in points(axes, name)) == every


def test_the_published_mean_is_a_diamond_under_its_own_rules(ours) -> None:
    quoted = published.summary("regression").loc["adam"]
    first = scatter.best_scatter("regression", ours, n=3).axes[0]
    (diamond,) = (line for line in first.lines if line.get_marker() == "D")
    assert [diamond.get_xdata()[0], diamond.get_ydata()[0]] == [
        quoted["epoch_mean"] + 1,
        quoted["metric_mean"],
    ]
    fair = {name: found._replace(trials=found.trials.assign(protocol="fair")) for name, found in ours.items()}
    for figure in (scatter.best_scatter("regression", fair, n=3), scatter.best_scatter("small", ours, n=3)):
        assert "D" not in {line.get_marker() for line in figure.axes[0].lines}


def test_an_accuracy_has_a_linear_axis_and_nothing_to_show_is_said(results) -> None:
    ours = runs.load_samplers("mnist", results=results)
    assert scatter.best_scatter("mnist", ours, n=2).axes[0].get_yscale() == "linear"
    lost = {
        name: records._replace(trials=records.trials.assign(diverged=True)) for name, records in ours.items()
    }
    with pytest.raises(ValueError, match="no complete trial"):
        scatter.best_scatter("mnist", lost, n=2)


def test_many_optimizers_find_room(ours) -> None:
    trials = pd.concat([ours["tpe"].trials.assign(optimizer=f"o{k}") for k in range(9)], ignore_index=True)
    figure = scatter.best_scatter("small", {"tpe": ours["tpe"]._replace(trials=trials)}, n=1)
    assert sum(axes.axison for axes in figure.axes) == 9
