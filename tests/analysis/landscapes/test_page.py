"""What the page draws."""

import numpy as np
import pandas as pd
import pytest

from induced_metric.analysis.landscapes import page


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
