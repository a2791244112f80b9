"""What follows from the settings of the lanes."""

import pytest

from induced_metric.cli import most_sharing


@pytest.mark.parametrize(
    ("devices", "examples", "most"),
    [(1, 8, 1), (2, 1024, 2), (6, 8, 4), (7, 1024, 4), (12, 8, 8), (3, 9, 3), (2, 15, 1)],
)
def test_most_devices_that_share_a_batch_out_evenly(devices, examples, most):
    assert most_sharing(devices, examples) == most
