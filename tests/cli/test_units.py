"""Times and speeds in words."""

import pytest

from induced_metric.cli import units


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.2, "1 s"),
        (59.7, "1 min"),
        (61, "1 min 1 s"),
        (12_000, "3 h 20 min"),
        (3600, "1 h"),
        (86_400, "1 day"),
        (90_000, "1 day 1 h"),
        (86_400 * 12 + 59, "12 days"),
    ],
)
def test_durations_in_words(seconds, shown):
    assert units.in_words(seconds) == shown


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [(0, ""), (120, "120 trials/s"), (1, "1 trials/s"), (0.5, "30 trials/min"), (1e-5, "0.036 trials/h")],
)
def test_speeds(per_second, shown):
    assert units.rate(per_second) == shown
