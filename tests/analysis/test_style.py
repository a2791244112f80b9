"""One look for an optimizer in every figure and on the page, by its name alone."""

import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import synthetic
from matplotlib.colors import to_hex

from induced_metric.analysis import runs, style
from induced_metric.analysis.landscapes import figures as landscape_figures
from induced_metric.analysis.landscapes import page
from induced_metric.analysis.searches import figures
from induced_metric.records import published


def curve_colours(figure) -> dict[str, str]:
    (legend,) = figure.legends
    return {
        text.get_text().split()[0]: to_hex(handle.get_color()).upper()
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }


def landscape(names):
    """Records of a best run of each optimizer on one function."""
    runs = pd.DataFrame({"optimizer": names}).assign(
        function="beale", tolerance="notebook", converged=True, iterations=2, final_value=0.0, configuration=0
    )
    points = pd.DataFrame({"iteration": [0, 1, 2], "value": [3.0, 1.0, 0.1]})
    # Each a path of its own.
    paths = runs[["function", "tolerance", "optimizer"]].merge(points, how="cross")
    paths["value"] += paths["optimizer"].map({name: 0.01 * k for k, name in enumerate(names)})
    timing = runs[["function", "optimizer"]].assign(mode="compiled", seconds_per_iteration=1e-6)
    return runs, paths, timing


def test_the_optimizers_of_the_paper_stand_in_its_order_and_differ() -> None:
    names = published.optimizers()
    assert style.ordered(reversed(names)) == names
    for look in (style.colour, style.marker):
        assert len(set(map(look, names))) == len(names)


def test_leaving_an_optimizer_out_recolours_nobody(ours) -> None:
    records = ours["tpe"]
    everyone = curve_colours(figures.best_curves(records))
    assert everyone == {name.upper(): style.colour(name).upper() for name in published.optimizers()}
    kept = records.trials["optimizer"] != "adamw"
    fewer = curve_colours(figures.best_curves(records._replace(trials=records.trials[kept])))
    assert fewer == {name: colour for name, colour in everyone.items() if name != "ADAMW"}


def test_both_families_of_figures_have_the_same_colours_and_names(ours) -> None:
    names = published.optimizers()
    descents = curve_colours(landscape_figures.convergence("beale", *landscape(names)))
    assert descents == curve_colours(figures.best_curves(ours["tpe"]))
    assert list(descents) == [name.upper() for name in names]


def test_the_page_has_the_colours_of_the_figures() -> None:
    template = page.template().lower()
    assert not [name for name in synthetic.REGRESSION if style.colour(name).lower() in template]
    runs = pd.DataFrame({"optimizer": ["muon", "adam"]}).assign(
        run=[0, 1], function="beale", offset=0.0, start_x=0.0, start_y=0.0, learning_rate=0.1, momentum=0.9,
        xi=0.1, converged=True, iterations=0,
    )  # fmt: skip
    names = (
        "iteration",
        "x",
        "y",
        "value",
        "gradient_x",
        "gradient_y",
        "scale",
        "slope",
        "gamma_x",
        "gamma_y",
    )
    points = pd.DataFrame({"run": [0, 1], **dict.fromkeys(names, 0.5)})
    surface = pd.DataFrame({"function": "beale", "x": [0.0, 1, 0, 1], "y": [0.0, 0, 1, 1], "value": 1.0})
    minima = pd.DataFrame({"function": ["beale"], "x": [0.5], "y": [0.5], "minimum": [0.0]})
    data = page.page_data(runs, points, surface, minima)
    assert data["optimizers"] == [
        {
            "name": name,
            "label": name.upper(),
            "colour": style.colour(name),
            "marker": style.marker(name),
            "control": False,
        }
        for name in ("adam", "muon")
    ]
    assert re.fullmatch("#[0-9A-F]{6}", json.loads(json.dumps(data))["optimizers"][0]["colour"])


def test_a_control_follows_its_optimizer_in_its_colour() -> None:
    names = ["sgd_log_metric, f + 1", "adam", "sgd_log_metric", "sgd_rms"]
    assert style.ordered(names) == ["adam", "sgd_log_metric", "sgd_log_metric, f + 1", "sgd_rms"]
    assert style.colour("sgd_log_metric, f + 1") == style.colour("sgd_log_metric")


def test_an_unknown_optimizer_has_a_look_of_its_name_in_every_process() -> None:
    names = ["adamw_metric", "muon_metric", "lion_metric", "sgd_log_rms", "lion"]
    looks = [(style.colour(name), style.marker(name), style.line(name)) for name in names]
    assert len({colour for colour, *_ in looks[:4]}) == 4  # the package's own
    assert len(set(looks)) == 5
    assert "-" not in {line for *_, line in looks}
    known = {style.marker(name) for name in synthetic.REGRESSION}
    assert not known & {marker for _, marker, _ in looks}
    script = f"""
from induced_metric.analysis import style
print([(style.colour(name), style.marker(name), style.line(name)) for name in {names}])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(looks)
    assert style.ordered(["sophia", "lion", "sgd"]) == ["sgd", "lion", "sophia"]


def lab(colour: str) -> np.ndarray:
    """A colour's place in CIELAB, where distances are about as far apart as they look."""
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(to_xyz @ linear / [0.9505, 1.0, 1.0888])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_no_unknown_optimizer_is_mistaken_for_one_of_the_paper() -> None:
    known = [lab(style.colour(name)) for name in synthetic.REGRESSION]
    apart = min(np.linalg.norm(one - other) for one, other in itertools.combinations(known, 2))
    others = {style.colour(f"optimizer_{number}") for number in range(300)}
    assert len(others) >= 10
    assert all(np.linalg.norm(lab(other) - one) >= apart for other in others for one in known)


@pytest.mark.parametrize(
    ("name", "label"),
    [("sgd_rms", "SGD_RMS"), ("sgd_log_metric, f + 1", "SGD_LOG_METRIC, f + 1")],
)
def test_a_label_is_the_name_in_capitals_without_what_is_said_of_it(name, label) -> None:
    assert style.label(name) == label


def test_histograms_stand_in_the_order_of_the_legend(ours) -> None:
    figure = figures.best_histograms(runs.top(ours["tpe"].trials, 2).iloc[::-1])
    titles = [axes.get_title().split()[0].lower() for axes in figure.axes if axes.get_title()]
    assert titles == published.optimizers()


def test_a_run_that_repeats_another_is_named_with_it_and_shows_it_through() -> None:
    runs, paths, timing = landscape(["adam", "sgd", "muon"])
    paths["value"] -= 0.02 * (paths["optimizer"] == "muon")  # now Adam's own
    figure = landscape_figures.convergence("beale", runs, paths, timing)
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ["ADAM (2 iter)", "MUON (2 iter, same as ADAM)", "SGD (2 iter)"]
    curves = [
        line for line in figure.axes[0].lines if len(line.get_xdata()) == 3 and line.get_linewidth() > 1
    ]
    assert [line.get_linestyle() == "--" for line in curves] == [False, True, False]


@pytest.mark.parametrize(("end", "said"), [(0.0, True), (1e-20, True), (1e-3, False)])
def test_what_a_logarithmic_axis_has_no_place_for_is_said(end, said) -> None:
    runs, paths, timing = landscape(["adam", "sgd"])
    # Of the first optimizer: all count, not the last one alone.
    paths.loc[2, "value"] = end
    axes = landscape_figures.convergence("beale", runs, paths, timing).axes[0]
    assert ["(or 0) is drawn here" in text.get_text() for text in axes.texts] == [True] * said
    drawn = [line.get_ydata()[-1] for line in axes.lines if len(line.get_xdata()) == 3]
    assert drawn[0] == max(end, landscape_figures.FLOOR)


def test_every_descent_begins_at_its_start_on_both_axes() -> None:
    runs, paths, timing = landscape(["adam", "sgd"])
    for axes in landscape_figures.convergence("beale", runs, paths, timing).axes:
        faint, bold = axes.lines[:2]
        assert faint.get_ydata().tolist() == [3.0, 1.0, 0.1]
        assert axes.get_xlim()[0] == faint.get_xdata()[0] == bold.get_xdata()[0] == 0
        assert axes.get_xscale() == "symlog"
