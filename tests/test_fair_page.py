"""docs/fair.md: what it says of the verdicts, against the records and by simulation."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from induced_metric import records
from induced_metric.analysis.confirmations import confirmed
from induced_metric.analysis.confirmations.scale import scale_of
from induced_metric.records import CONFIRMED

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published"
PAGE = re.sub(r"\s+", " ", (ROOT / "docs" / "fair.md").read_text(encoding="utf-8"))

pytestmark = pytest.mark.slow


def test_winners_of_the_same_number_have_hardly_the_same_luck() -> None:
    said = []
    for task, name in (("regression", "regression"), ("mnist_small", "`mnist_small`")):
        where = {"protocol": "fair", "results": PUBLISHED}
        samplers = [*records.searches(task, **where), *records.confirmations(task, **where)]
        studies = {sampler: records.load(task, sampler=sampler, **where) for sampler in samplers}
        ours = {sampler: study for sampler, study in studies.items() if sampler.endswith(CONFIRMED)}
        found = confirmed.collect(ours, studies)
        scale = scale_of(found["value"], minimize=task == "regression")
        found = found.assign(mean=scale.to(found["value"]))
        between = np.corrcoef(found.pivot_table(index="optimizer", columns="study", values="mean").dropna())
        said.append(f"{between[np.triu_indices_from(between, 1)].mean():.2f} on {name}")
    assert f"the results of same-numbered winners correlate by {' and '.join(said)}" in PAGE


@pytest.mark.parametrize(
    ("skewed", "times"),
    [(False, "1.4 times as often as they should"), (True, "about five times if their luck is skewed")],
)
def test_how_often_a_small_p_comes_up_where_luck_differs(skewed, times) -> None:
    rng = np.random.default_rng(0)

    def luck(scale: float) -> np.ndarray:
        draw = rng.exponential if skewed else rng.standard_normal
        return scale * draw(size=(200_000, 5))  # a shift changes both means, which are subtracted below

    unequal, equal = (
        stats.ttest_ind(one - scale * skewed, luck(1.0) - skewed, axis=1, equal_var=False).pvalue
        for scale, one in ((3.0, luck(3.0)), (1.0, luck(1.0)))
    )
    share = (unequal < 0.003).mean() / 0.003
    assert times in PAGE
    assert share == pytest.approx({False: 1.4, True: 5}[skewed], rel=0.15)
    assert (equal < 0.003).mean() < 0.003
    assert "if both vary alike, less often than they should" in PAGE


def test_where_the_linter_finds_a_bound_is_so() -> None:
    found = set()
    for task in ("regression", "mnist_small", "mnist_small_128", "shakespeare_small", "cifar10_small"):
        text = (PUBLISHED / "tables" / f"fair-{task}-fairness.md").read_text(encoding="utf-8")
        for line in re.findall(r"^\| bound \| (?!published).*$", text, re.MULTILINE):
            found |= {(task, *bound) for bound in re.findall(r"([A-Z_]{3,}) (\w+) (0\.\d+)", line)}
    assert found == {
        ("regression", "SGD_LOG_RMS", "beta_rms", "0.99999"),
        ("regression", "ADAN", "b3", "0.99999"),
        ("mnist_small", "LION", "b2", "0.5"),
        ("mnist_small", "LION_METRIC", "beta2", "0.5"),
    }
    assert (
        "it finds four, none of them of the six: the second momentum of SGD_LOG_RMS and the third of Adan at "
        "0.99999 (`regression`), and the second of Lion, with and without the metric, at 0.5 (`mnist_small`)"
    ) in PAGE
