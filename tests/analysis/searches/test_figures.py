import hashlib
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from induced_metric.analysis import runs, style
from induced_metric.analysis.searches import figures
from induced_metric.records import Records, load, published

pytestmark = pytest.mark.slow


def panels(figure):
    """Its axes without colour bars and empty panels."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>" and axes.axison]


def test_best_curves_are_the_best_runs_on_logarithmic_axes(ours) -> None:
    records = ours["tpe"]
    figure = figures.best_curves(records)
    axes = panels(figure)
    assert [a.get_title() for a in axes] == ["train loss", "test loss", "", ""]
    assert {(a.get_xscale(), a.get_yscale()) for a in axes} == {("log", "log")}
    assert [a.get_xlabel() for a in axes] == [figures.RECORDED] * 2 + ["epochs trained"] * 2
    best = runs.top(records.trials, 1).set_index("optimizer")
    for place, name in enumerate(published.optimizers()):
        curve = records.curves[
            (records.curves["optimizer"] == name) & (records.curves["trial"] == best.loc[name, "trial"])
        ]
        faint, bold = [line for line in axes[3].lines if line.get_marker() in ("None", None)][2 * place :][:2]
        assert faint.get_ydata().tolist() == curve["test/loss"].tolist()
        assert faint.get_xdata().tolist() == bold.get_xdata().tolist() == list(range(1, 21))
        assert bold.get_ydata().tolist() == curve["test/loss"].cummin().tolist()
        assert faint.get_linewidth() < bold.get_linewidth()
        dots = [line for line in axes[1].lines if line.get_linestyle() == "None"]
        assert dots[place].get_ydata() == pytest.approx(best.loc[name, "value"])
        elapsed = curve["seconds"].iloc[: best.loc[name, "best_epoch"] + 1].sum()
        assert dots[place].get_xdata() == pytest.approx(elapsed)
    (legend,) = figure.legends
    assert [text.get_text().split()[0] for text in legend.get_texts()] == [
        name.upper() for name in published.optimizers()
    ]


def test_the_best_training_loss_so_far_is_the_least_beside_an_accuracy(results) -> None:
    trials, curves = runs.load_samplers("cifar10", ["tpe"], results=results)["tpe"]
    loss = curves["train/minibatch_accuracy"].rename("train/minibatch_loss")
    only_loss = curves.drop(columns="train/minibatch_accuracy").join(1 - loss)
    for shown, accumulated in ((only_loss, "cummin"), (curves, "cummax")):
        figure = figures.best_curves(Records(trials, shown))
        axes = panels(figure)[0]
        for faint, bold in zip(axes.lines[::2], axes.lines[1::2], strict=True):
            assert bold.get_ydata().tolist() == getattr(pd.Series(faint.get_ydata()), accumulated)().tolist()


@pytest.mark.parametrize("without", [None, "train/loss"])
def test_the_legend_is_within_the_figure(ours, without) -> None:
    records = ours["tpe"]
    records = records._replace(curves=records.curves.drop(columns=without or []))
    figure = figures.best_curves(records)
    figure.draw_without_rendering()
    box, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= page.y1


def test_colours_stay_with_their_optimizers_and_differ(ours) -> None:
    figure = figures.best_curves(ours["tpe"])
    lines = panels(figure)[0].lines
    assert len({to_hex(line.get_color()) for line in lines}) == 7


def test_seconds_are_epochs_times_the_measured_cost_where_there_is_one_of_each(ours) -> None:
    costs = pd.Series(2.0, index=published.optimizers())
    axes = panels(figures.best_curves(ours["tpe"], costs))
    assert axes[0].get_xlabel() == figures.SECONDS
    assert axes[0].lines[0].get_xdata().tolist() == [2.0 * epochs for epochs in range(1, 21)]
    assert panels(figures.best_curves(ours["tpe"], costs[1:]))[0].get_xlabel() == figures.RECORDED


def many(trials, n=25):
    """So many runs of each optimizer, spread as a few are."""
    best = runs.top(trials, 50)
    copies = best.loc[best.index.repeat(10)].reset_index(drop=True)
    copies = copies.groupby("optimizer", sort=False).head(n)
    return copies.assign(value=copies["value"] * np.random.default_rng(0).uniform(1, 1.5, len(copies)))


def test_best_histograms_hold_every_run_in_shared_bins_and_colours(ours) -> None:
    figure = figures.best_histograms(many(ours["tpe"].trials))
    axes = panels(figure)
    assert [a.get_title() for a in axes] == [f"{name.upper()} (n = 25)" for name in published.optimizers()]
    assert figure.get_suptitle() == "regression (our runs, protocol paper, tpe): the best runs"
    meshes = [a.collections[0] for a in axes]
    assert [int(mesh.get_array().sum()) for mesh in meshes] == [25] * 7
    assert len({mesh.get_clim() for mesh in meshes}) == 1
    assert all(mesh.get_array().size == 400 for mesh in meshes)
    assert all(np.array_equal(mesh.get_coordinates(), meshes[0].get_coordinates()) for mesh in meshes)
    assert {mesh.get_cmap().name for mesh in meshes} == {"viridis"}
    assert {a.get_yscale() for a in axes} == {"log"}
    assert sum(a.get_label() == "<colorbar>" for a in figure.axes) == 1
    assert axes[0].get_xlim() == (0.5, 20.5)


def test_bins_are_no_more_than_the_epochs(ours) -> None:
    short = many(ours["tpe"].trials).assign(best_epoch=7, epochs=8)
    mesh = panels(figures.best_histograms(short))[0].collections[0]
    assert mesh.get_array().shape == (20, 8)
    assert mesh.get_array()[:, 7].sum() == 25


def test_a_few_runs_are_points(ours) -> None:
    best = runs.top(ours["tpe"].trials, 50)
    figure = figures.best_histograms(best)
    for axes, name in zip(panels(figure), published.optimizers(), strict=True):
        own = best[best["optimizer"] == name]
        (line,) = axes.lines
        assert line.get_xdata().tolist() == (own["best_epoch"] + 1).tolist()
        assert line.get_ydata().tolist() == own["value"].tolist()
        assert not axes.collections


def test_a_run_falls_where_its_epoch_and_metric_say(ours) -> None:
    best = many(ours["tpe"].trials)
    figure = figures.best_histograms(best[best["optimizer"] == "sgd"])
    mesh = panels(figure)[0].collections[0]
    x, y = mesh.get_coordinates()[0, :, 0], mesh.get_coordinates()[:, 0, 1]
    sgd = best[best["optimizer"] == "sgd"]
    expected, *_ = np.histogram2d(sgd["value"], sgd["best_epoch"] + 1, bins=(y, x))
    assert np.array_equal(mesh.get_array().filled(0), expected)


def test_accuracy_has_a_linear_axis(results) -> None:
    records = load("mnist", results=results)
    axes = panels(figures.best_curves(records))
    assert {a.get_yscale() for a in axes} == {"linear"}
    figure = figures.best_histograms(runs.top(records.trials, 4))
    assert panels(figure)[0].get_yscale() == "linear"
    assert figure.get_supylabel() == "max test accuracy"


@pytest.mark.parametrize(
    ("task", "train", "kind"),
    [
        ("mnist", "train accuracy", "accuracy"),
        ("cifar10", "train minibatch accuracy", "minibatch accuracy"),
        ("shakespeare_small", "train minibatch loss", "minibatch loss"),
    ],
)
def test_what_there_is_of_training_is_shown_under_its_name(results, task, train, kind) -> None:
    records = load(task, results=results)
    first, second, *_ = panels(figures.best_curves(records))
    assert first.get_title() == train
    assert first.get_ylabel() == kind
    objective = records.trials["objective"].iloc[0]
    assert second.get_title() == objective.replace("/", " ")
    scale = "linear" if objective.endswith("accuracy") else "log"
    assert {first.get_yscale(), second.get_yscale()} == {scale}


def test_a_training_metric_of_other_studies_leaves_no_empty_panel(results) -> None:
    records = load("cifar10", results=results)
    records.curves["train/accuracy"] = np.nan
    assert panels(figures.best_curves(records))[0].get_title() == "train minibatch accuracy"


def test_axes_of_less_than_two_decades_have_numbers_to_read(results) -> None:
    records = load("shakespeare_small", results=results)
    figure = figures.best_curves(records)
    figure.draw_without_rendering()
    for axes in panels(figure):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            assert sum(low <= tick <= high for tick in axis.get_majorticklocs()) >= 3


def best_of_the_paper(task):
    """Fifty runs of each optimizer with the mean and spread of the published table."""
    rng = np.random.default_rng(0)
    rows = []
    for optimizer, row in published.summary(task).iterrows():
        values = rng.normal(row["metric_mean"], row["metric_std"], 50)
        rows.append(pd.DataFrame({"optimizer": optimizer, "value": values}))
    metric = {"regression": "test/loss", "shakespeare": "validation/perplexity"}.get(task, "test/accuracy")
    direction = "maximize" if metric.endswith("accuracy") else "minimize"
    best = pd.concat(rows, ignore_index=True)
    return best.assign(objective=metric, direction=direction, best_epoch=rng.integers(0, 200), epochs=200,
                       task=task, protocol="paper", sampler="tpe")  # fmt: skip


@pytest.mark.parametrize("task", ["regression", "mnist", "cifar10"])
def test_the_optimizers_share_their_limits(task) -> None:
    figure = figures.best_histograms(best_of_the_paper(task))
    assert len({axes.get_ylim() for axes in panels(figure)}) == 1
    assert "y limits" not in figure.get_supxlabel()


def test_two_classes_as_on_shakespeare_have_limits_of_their_own() -> None:
    figure = figures.best_histograms(best_of_the_paper("shakespeare"))
    limits = {axes.get_title().split()[0].lower(): axes.get_ylim() for axes in panels(figure)}
    assert {limits[name] for name in ("adam", "adamw", "muon", "sgd_rms")} == {limits["adam"]}
    assert {limits[name] for name in ("sgd", "sgd_metric", "sgd_log_metric")} == {limits["sgd"]}
    assert limits["adam"] != limits["sgd"]
    assert figure.get_supxlabel().endswith("ADAM, ADAMW, MUON, SGD_RMS | SGD, SGD_METRIC, SGD_LOG_METRIC")
    assert sum(int(axes.collections[0].get_array().sum()) for axes in panels(figure)) == 7 * 50


def test_optimizers_spread_evenly_are_no_classes_however_tight_each_is(ours) -> None:
    best = runs.top(ours["tpe"].trials, 1).assign(
        value=np.linspace(0.02, 0.03, 7), objective="test/perplexity"
    )
    assert len({axes.get_ylim() for axes in panels(figures.best_histograms(best))}) == 1


@pytest.mark.parametrize("value", [0.25, 0.0, -1.0])
def test_one_run_alone_has_bins_too(ours, value) -> None:
    one = runs.top(ours["tpe"].trials, 1).head(1).assign(value=value)
    figure = figures.best_histograms(one)
    assert len(panels(figure)[0].lines[0].get_xdata()) == 1


def test_more_than_nine_optimizers_find_room(ours) -> None:
    best = runs.top(ours["tpe"].trials, 1)
    many = best.loc[best.index.repeat(2)].assign(optimizer=[f"o{k}" for k in range(14)])
    assert len(panels(figures.best_histograms(many))) == 14


def test_nothing_to_show_is_said(ours) -> None:
    trials = ours["tpe"].trials.assign(diverged=True)
    with pytest.raises(ValueError, match="no complete trial"):
        figures.best_histograms(runs.top(trials, 4))


def test_files_are_the_same_every_time_and_nothing_global_changes(ours, tmp_path) -> None:
    before = dict(matplotlib.rcParams)
    digests = []
    for name, colour in (("one", "white"), ("two", "red")):
        # Not even a user's own settings change them.
        with matplotlib.rc_context({"axes.facecolor": colour, "font.family": "serif"}):
            figure = figures.best_curves(ours["random"])
            paths = style.save(figure, tmp_path / name / "paper-regression-tpe+hyperband-v1.5-best_curves")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
        assert [path.name.rsplit("-", 1)[1] for path in paths] == ["best_curves.pdf", "best_curves.png"]
    assert digests[0] == digests[1]
    assert dict(matplotlib.rcParams) == before


def test_the_analysis_starts_no_window_and_neither_jax_nor_wandb() -> None:
    script = """
import sys
from induced_metric.analysis import making
print([name for name in ("matplotlib.pyplot", "wandb", "jax", "optuna") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
