"""The scale: losses by their logarithm, accuracies as they are."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from induced_metric.analysis.confirmations import confirmed
from induced_metric.analysis.confirmations.scale import scale_of

LOSSES = np.array([0.01, 0.02, 70.0])


def test_a_loss_is_averaged_by_its_logarithm_and_an_accuracy_as_it_is() -> None:
    loss, accuracy = scale_of(LOSSES, minimize=True), scale_of(LOSSES, minimize=False)
    assert loss.mean(LOSSES) == pytest.approx(stats.gmean(LOSSES))
    assert accuracy.mean(LOSSES) == pytest.approx(LOSSES.mean())
    assert loss.back(loss.to(LOSSES)) == pytest.approx(LOSSES)
    differences = pd.Series([np.log(0.5), 0.0])
    assert (loss.difference_words, loss.shown(differences).tolist()) == ("ratio", ["0.500", "1.000"])
    assert accuracy.shown(pd.Series([0.01])).tolist() == ["+0.0100"]


@pytest.mark.parametrize("values", [[0.0, 1.0], [-1.0, 1.0], []])
def test_what_is_not_positive_has_no_logarithm(values) -> None:
    scale = scale_of(values, minimize=True)
    assert not scale.logarithmic
    assert np.isnan(scale.mean([]))


def test_a_verdict_on_losses_does_not_depend_on_their_unit() -> None:
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([("a", "b"), range(5), range(9)], names=["optimizer", "study", "seed"])
    found = pd.Series(rng.lognormal(size=90), index, name="value").reset_index()
    one, other = (
        confirmed.compare(found.assign(value=found["value"] * unit), minimize=True) for unit in (1, 1000)
    )
    assert one["logarithmic"].all()
    pd.testing.assert_frame_equal(one, other)
