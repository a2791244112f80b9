"""Settings of the studies are checked when they are made."""

from dataclasses import replace

import pytest

from induced_metric.landscapes import FairSettings, GridSettings, PageSettings, TimingSettings

GRID = GridSettings(iterations=10, tolerances={"tight": 1e-10}, nudges=(1,), tile=4)
TIMING = TimingSettings(compiled=1, stepped=1, eager=1, rounds=2)
FAIR = FairSettings(
    settings=1, selection_starts=1, curve_starts=1, report_starts=1, iterations=1, tolerances={}, seed=0,
    tile=1, tiles=1,
)  # fmt: skip
PAGE = PageSettings(choices={"momentum": (0.0,)}, starts=1, iterations=1, points=2, resolution=2, seed=0)


@pytest.mark.parametrize(
    ("settings", "changed", "sentence"),
    [
        (GRID, {"iterations": 0}, "iterations must be an integer from 1 to 1000000, got 0"),
        (GRID, {"tile": 0}, "tile must be an integer from 1 to 10000, got 0"),
        (GRID, {"tolerances": {"tight": 0.0}}, r"tolerances\.tight must be > 0, got 0.0"),
        (GRID, {"tolerances": {"notebook": 1.0}}, r"tolerances\.notebook is each function's own"),
        (TIMING, {"rounds": 1}, "rounds must be an integer from 2 to 1000000, got 1"),
        (FAIR, {"settings": 1.5}, r"settings must be an integer from 1 to 10000, got 1\.5"),
        (FAIR, {"seed": -1}, "seed must be an integer from 0 to 4294967295, got -1"),
        (PAGE, {"points": 1}, "points must be an integer from 2 to 100000, got 1"),
        (PAGE, {"choices": {"xi": ()}}, r"choices\.xi must have at least one value"),
    ],
)
def test_a_setting_out_of_range_is_refused_in_a_sentence(settings, changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(settings, **changed)
