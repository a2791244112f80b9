"""The figure of the confirmations: letters, and what each row shows."""

import itertools

import numpy as np
import pandas as pd
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from scipy import stats

from induced_metric.analysis import style
from induced_metric.analysis.confirmations import confirmed, confirmed_figure
from induced_metric.records import Records

NAMES = "pqrstu"
PAIRS = list(itertools.combinations(NAMES, 2))


@pytest.fixture
def confirmations() -> dict[str, Records]:
    """The winners of two studies of two optimizers, of which the second is worse, from the same 12 seeds."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=(2, 12))
    found = {}
    for sampler, own in zip(("tpe-confirmed", "tpe-seed1-confirmed"), noise, strict=True):
        rows = [
            synthetic.trial(k, optimizer=name, sampler=sampler, epochs=2)[0]
            | {"value": value, "seed": 50 + k}
            for name, values in (("adam", 0.15 + own), ("sgd", 0.3 + own[::-1]))
            for k, value in enumerate(values)
        ]
        found[sampler] = Records(pd.DataFrame(rows), pd.DataFrame())
    return found


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_share_a_letter_if_and_only_if_they_are_not_told_apart(apart) -> None:
    found = confirmed_figure.letters(NAMES, sorted(apart))
    for pair in PAIRS:
        assert bool(set(found[pair[0]]) & set(found[pair[1]])) == (pair not in apart)
    groups = {letter: {name for name in NAMES if letter in found[name]} for letter in "".join(found.values())}
    assert not [one for one, other in itertools.permutations(groups.values(), 2) if one <= other]


def test_letters_begin_with_the_first() -> None:
    apart = [("p", "r"), ("p", "s"), ("q", "s")]
    assert confirmed_figure.letters("pqrs", apart) == {"p": "a", "q": "ab", "r": "bc", "s": "c"}
    assert confirmed_figure.letters("p", []) == {"p": "a"}


def test_a_row_has_the_interval_of_its_mean_and_a_bar_a_study(confirmations) -> None:
    figure = confirmed_figure.confirmed_figure("regression", confirmations, {})
    axes = figure.axes[0]
    table = confirmed.standings("regression", confirmations, {}).sort_values("mean", ignore_index=True)
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "ADAM\n2 × 12 seeds", "SGD\n2 × 12 seeds",
    ]  # fmt: skip
    shades = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [shade.get_x() for shade in shades] == table["low"].tolist()
    assert [shade.get_width() for shade in shades] == pytest.approx((table["high"] - table["low"]).tolist())
    found = confirmed.collect(confirmations, {})
    for name in ("adam", "sgd"):
        markers = [line for line in axes.lines if line.get_marker() == style.marker(name)]
        assert {to_hex(line.get_color()).upper() for line in markers} == {style.colour(name).upper()}
        means = found[found["optimizer"] == name].groupby("study")["value"].agg(stats.gmean)
        assert sorted(float(line.get_xdata()[0]) for line in markers) == pytest.approx(sorted(means))
        bars = [line for line in axes.lines if line.get_linewidth() == 3]
        assert len(bars) == 4
    assert figure.get_suptitle().startswith("regression (our runs, protocol paper, tpe, 2 studies)")
    assert [text.get_text() for text in axes.child_axes[0].get_yticklabels()] == [
        "a",
        "b",
    ]  # significantly different


def test_the_axis_ends_near_the_winners_where_one_fails(confirmations) -> None:
    trials = confirmations["tpe-confirmed"].trials
    trials = trials.assign(value=1 - trials["value"], direction="maximize")
    names = ["tpe-confirmed", *(f"tpe-seed{k}-confirmed" for k in range(1, 5))]
    sound = {name: Records(trials.assign(sampler=name), pd.DataFrame()) for name in names}
    axes = confirmed_figure.confirmed_figure("mnist", sound, {}).axes[0]
    assert axes.get_xlim()[0] < 0.7
    assert not axes.texts
    failed = trials.assign(value=trials["value"].mask(trials["optimizer"] == "sgd", -9.0))
    failing = sound | {"tpe-confirmed": Records(failed, pd.DataFrame())}
    axes = confirmed_figure.confirmed_figure("mnist", failing, {}).axes[0]
    assert -2 < axes.get_xlim()[0] < 0.7
    assert [text.get_text() for text in axes.texts] == ["◂ to -9"]


def test_what_diverged_is_named_and_a_single_optimizer_needs_no_letters(confirmations) -> None:
    alone = {
        name: study._replace(trials=study.trials[study.trials["optimizer"] == "adam"].assign(
            diverged=np.arange(12) == 0))
        for name, study in confirmations.items()
    }  # fmt: skip
    figure = confirmed_figure.confirmed_figure("regression", alone, {})
    assert figure.axes[0].get_yticklabels()[0].get_text() == "ADAM\n2 × 12 seeds, 2 diverged"
    assert figure.legends[0].get_title().get_text() == ""


def test_only_the_papers_have_letters_where_there_are_any(confirmations) -> None:
    other = {
        name: study._replace(trials=study.trials.replace({"optimizer": {"sgd": "mine"}}))
        for name, study in confirmations.items()
    }
    joined = {
        name: synthetic.joined(
            study, other[name]._replace(trials=other[name].trials.query("optimizer == 'mine'"))
        )
        for name, study in confirmations.items()
    }
    axes = confirmed_figure.confirmed_figure("regression", joined, {}).axes[0]
    assert [text.get_text() for text in axes.child_axes[0].get_yticklabels()] == ["a", "b", ""]
