"""What the page draws."""

import re

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis import style
from induced_metric.analysis.landscapes import page
from induced_metric.records import published as paper


def test_ellipses_are_unit_balls_of_the_metric():
    points = pd.DataFrame(
        {
            "xi": [0.5, np.nan],
            "gradient_x": [3.0, 1.0],
            "gradient_y": [4.0, 1.0],
            "slope": [2.0, 1.0],
            "gamma_x": [1.0, 4.0],
            "gamma_y": [1.0, 9.0],
        }
    )
    found = page.ellipses(points)
    np.testing.assert_allclose(found["major"], [1, 1 / 2])
    np.testing.assert_allclose(found["minor"], [(1 + 0.5 * 4 * 25) ** -0.5, 1 / 3])
    # The long axis lies across the gradient.
    assert np.cos(found["angle"][0]) * 3 + np.sin(found["angle"][0]) * 4 == pytest.approx(0, abs=1e-9)


def test_the_page_is_one_file_with_all_its_parts() -> None:
    template = page.template()
    assert template.count("/*DATA*/null") == 1
    for word in ("/*STYLE*/", "/*DRAWING*/", "/*SCRIPT*/"):
        assert word not in template
    assert "function drawSurface(" in template
    assert "function remember(" in template
    assert not re.search(r"""(src|@import|href)\s*=?\s*["'(][^"')]*\.(js|css)""", template)
    assert 'name="viewport"' in template


def test_every_marker_of_an_optimizer_is_a_shape_of_the_page() -> None:
    shapes = re.search(r"const SHAPES = \{(.*?)\n\};", page.template(), re.S)
    assert shapes
    names = [
        *paper.optimizers(),
        "sgd_log_metric, f + 1",
        *(f"optimizer_{number}" for number in range(99)),
    ]
    for marker in {style.point(name) for name in names}:
        assert re.search(rf"""["\s]{re.escape(marker)}["]?: """, shapes[1]), marker


def test_the_page_has_the_success_from_fresh_starts_of_the_tuned_settings(published) -> None:
    tables = (published[f"page_{name}"] for name in ("runs", "points", "surfaces", "minima"))
    fresh = page.page_data(*tables, published["fair"])["fresh"]
    assert set(fresh) == set(published["page_surfaces"]["function"])
    assert fresh["ackley"]["sgd_log_metric"] == [0.656, 0.627, 0.685]
    assert fresh["ackley"]["sgd_log_metric, f + 1"][0] == 0
