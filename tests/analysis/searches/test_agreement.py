"""Which search is nearest to the published level."""

import pytest
import synthetic

from induced_metric.analysis import runs
from induced_metric.analysis.searches import agreement
from induced_metric.records import published


@pytest.fixture
def ours(tmp_path):
    for optimizer in ("adam", "sgd"):
        for sampler in ("tpe", "random"):
            synthetic.write_study(tmp_path, optimizer, trials=12, sampler=sampler)
    return runs.load_samplers("regression", results=tmp_path)


def test_the_difference_is_in_published_standard_deviations(ours):
    table = agreement.to_published("regression", ours, 3)
    quoted = published.summary("regression")
    assert sorted(zip(table["optimizer"], table["source"], strict=True)) == [
        ("adam", "random"), ("adam", "tpe"), ("sgd", "random"), ("sgd", "tpe"),
    ]  # fmt: skip
    for row in table.itertuples():
        best = runs.top(ours[row.source].trials.query("optimizer == @row.optimizer"), 3)
        assert row.mean == pytest.approx(best["value"].mean())
        mean, std = quoted.loc[row.optimizer, ["metric_mean", "metric_std"]]
        assert row.deviations == pytest.approx((row.mean - mean) / std)
    for _, rows in table.groupby("optimizer"):
        assert rows.loc[rows["nearest"], "deviations"].abs().item() == rows["deviations"].abs().min()


def test_a_column_for_each_search_and_the_nearest_in_bold(ours):
    table = agreement.agreement_table("regression", ours, n=3)
    assert list(table.cells.columns) == ["Optimiser", "Nearest", "Published", "random", "tpe"]
    lines = table.markdown().splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| ADAM", "| SGD"]
    assert all(line.count("**") == 2 for line in lines)


def test_one_search_or_a_task_without_published_numbers_has_no_such_table(ours):
    assert agreement.agreement_table("regression", {"tpe": ours["tpe"]}, n=3) is None
    assert agreement.agreement_table("mnist_small", ours, n=3) is None
