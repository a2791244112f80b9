import itertools

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy.stats import spearmanr

from induced_metric import records
from induced_metric.analysis import runs, statistics
from induced_metric.records import published


def trials(**columns: list) -> pd.DataFrame:
    size = len(columns["value"])
    frame = pd.DataFrame(
        {
            "optimizer": ["a"] * size,
            "trial": range(size),
            "seed": range(size),
            "state": ["complete"] * size,
            "diverged": [False] * size,
            "direction": ["minimize"] * size,
            "best_epoch": [0] * size,
            "epochs": [2] * size,
            "config": ["{}"] * size,
        }
    )
    return frame.assign(**columns)


def curves(frame: pd.DataFrame, seconds: list[float]) -> pd.DataFrame:
    rows = frame[["optimizer", "trial"]].merge(pd.DataFrame({"seconds": seconds}), how="cross")
    return rows.assign(epoch=rows.groupby(["optimizer", "trial"]).cumcount())


def test_top_leaves_out_pruned_failed_and_diverged_trials() -> None:
    frame = trials(
        value=[0.1, 0.2, 0.3, 0.4, 0.5],
        state=["pruned", "complete", "complete", "failed", "complete"],
        diverged=[False, True, False, False, False],
    )
    assert runs.top(frame, 50)["trial"].tolist() == [2, 4]
    assert statistics.counts(frame).loc["a"].to_dict() == {
        "complete": 2,
        "pruned": 1,
        "failed": 1,
        "diverged": 1,
    }


def test_top_follows_the_direction_and_takes_the_earlier_of_equals() -> None:
    frame = trials(value=[0.5, 0.9, 0.9, 0.7])
    assert runs.top(frame, 2)["trial"].tolist() == [0, 3]
    assert runs.top(frame.assign(direction="maximize"), 2)["trial"].tolist() == [1, 2]
    # Neither the order of the rows nor other optimizers matter.
    both = pd.concat([frame.assign(optimizer="b", value=1.0), frame[::-1]])
    assert runs.top(both.assign(direction="maximize"), 2)["trial"].tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(("sizes", "count"), [((500, 480), 50), ((200,), 50), ((60, 50), 15), ((3,), 1)])
def test_the_best_are_fifty_as_published_but_a_quarter_of_the_trials_at_most(sizes, count) -> None:
    # The trials of each optimizer count, not those of all.
    ours = {
        f"sampler{place}": records.Records(
            pd.concat([trials(value=[0.0] * size, optimizer=[name] * size) for name in "ab"]), pd.DataFrame()
        )
        for place, size in enumerate(sizes)
    }
    assert runs.best_count(ours) == count


def test_summary_has_population_spread_and_seconds_up_to_the_best_epoch() -> None:
    frame = trials(value=[3.0, 1.0, 8.0], best_epoch=[0, 2, 1], epochs=[4, 4, 4])
    study = records.Records(frame, curves(frame, [1.0, 10.0, 100.0, 1000.0]))
    table = statistics.summary(study, n=2).loc["a"]
    assert table[["metric_mean", "metric_std", "epoch_mean", "epoch_std"]].tolist() == [2.0, 1.0, 1.0, 1.0]
    assert table[["best_metric", "best_epoch", "best_seconds", "n"]].tolist() == [1.0, 2, 111.0, 2]


def test_summary_of_a_study_with_nothing_but_diverged_trials_has_no_numbers() -> None:
    frame = pd.concat([trials(value=[1.0, 2.0]), trials(value=[9.0], diverged=[True], optimizer=["b"])])
    table = statistics.summary(records.Records(frame, curves(frame, [1.0])), 50)
    assert table["n"].to_dict() == {"a": 2, "b": 0}
    assert table.loc["b", ["metric_mean", "best_seconds"]].isna().all()
    assert table.loc["b", "diverged"] == 1


def test_stopped_trials_count_where_their_study_ranks_them() -> None:
    frame = trials(
        value=[0.1, 0.2, 0.3, 0.4], state=["pruned", "complete", "pruned", "failed"],
        diverged=[False, False, True, False],
    )  # fmt: skip
    ranked = frame.assign(config='{"pruner": {"name": "wandb_hyperband", "ranks_stopped": true}}')
    assert runs.top(ranked, 50)["trial"].tolist() == [0, 1]
    assert runs.top(frame.assign(config='{"pruner": {"name": "hyperband"}}'), 50)["trial"].tolist() == [1]
    study = records.Records(ranked.assign(optimizer="b"), curves(ranked.assign(optimizer="b"), [1.0]))
    assert statistics.summary(study, 50).loc["b", ["best_metric", "n", "pruned"]].tolist() == [0.1, 2, 1]


def test_published_tables_are_the_papers() -> None:
    table = published.summary("regression")
    row = table.loc["sgd_rms", ["metric_mean", "metric_std", "best_epoch"]]
    assert row.tolist() == [0.0359, 0.005774, 178]
    assert list(table.index) == published.optimizers()
    assert [published.number(task) for task in ("regression", "shakespeare", "rastrigin")] == [1, 4, None]
    assert published.summary("rastrigin").empty


def test_each_sampler_is_loaded(tmp_path) -> None:
    for sampler in ("tpe", "random"):
        synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, sampler=sampler)
    assert list(runs.load_samplers("regression", results=tmp_path)) == ["random", "tpe"]
    assert list(runs.load_samplers("regression", ["tpe"], results=tmp_path)) == ["tpe"]
    with pytest.raises(FileNotFoundError, match="tasks with records: regression"):
        runs.load_samplers("regresion", results=tmp_path)


def test_repeats_of_one_setting_are_no_search(tmp_path) -> None:
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, sampler="fixed")
    with pytest.raises(FileNotFoundError, match="no records of a search of regression"):
        runs.load_samplers("regression", results=tmp_path)
    synthetic.write_study(tmp_path, "sgd", trials=3, epochs=2, sampler="random")
    assert list(runs.load_samplers("regression", results=tmp_path)) == ["random"]
    assert list(runs.load_samplers("regression", ["fixed"], results=tmp_path)) == ["fixed"]


@pytest.mark.parametrize("budget", [1, 2, 3, 5])
def test_rank_probabilities_are_those_of_all_subsets(budget: int) -> None:
    counted = np.bincount([min(s) for s in itertools.combinations(range(5), budget)], minlength=5)
    np.testing.assert_allclose(statistics.best_of(5, budget), counted / counted.sum())


@pytest.mark.parametrize("order", [(1, 0, 2), (3, 2, 1, 0), (0, 1, 4, 2, 3, 5), (0, 1, 4, 2, 3, 6, 5)])
def test_the_p_of_a_rank_correlation_of_few_is_the_share_of_all_orders(order) -> None:
    correlation, p = statistics.rank_correlation(range(len(order)), order)
    every = [spearmanr(order, other).statistic for other in itertools.permutations(range(len(order)))]
    assert correlation == pytest.approx(spearmanr(range(len(order)), order).statistic)
    assert p == pytest.approx(np.mean(np.abs(every) >= abs(correlation) - 1e-9))


def test_the_p_of_a_rank_correlation_of_many_is_close_to_students() -> None:
    one, noise = np.random.default_rng(0).normal(size=(2, 40))
    found, usual = statistics.rank_correlation(one, one + 3 * noise), spearmanr(one, one + 3 * noise)
    assert found == pytest.approx((usual.statistic, usual.pvalue), abs=0.03)


def test_intervals_hold_what_was_seen_and_narrow_with_more_of_it() -> None:
    widths = []
    for number in (10, 100, 1000):
        low, high = statistics.share_interval(number // 5, number)
        assert 0 < low < 0.2 < high < 1
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    low, high = statistics.median_interval(np.arange(101))
    assert low < 50 < high
    assert np.isnan(statistics.median_interval(np.array([1, 2]))).all()
