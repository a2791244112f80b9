"""The spread of one setting over seeds."""

import numpy as np
import pandas as pd
import pytest
import synthetic

from induced_metric.analysis import runs
from induced_metric.analysis.confirmations import seeds
from induced_metric.cli import commands
from induced_metric.records import Records


def repeats(values: list[float], direction: str = "minimize", **columns: object) -> Records:
    trials = pd.DataFrame({"value": values, "trial": range(len(values))}).assign(
        optimizer="adam", state="complete", diverged=False, objective="test/loss", direction=direction,
        protocol="paper",
    )  # fmt: skip
    return Records(trials.assign(**columns), pd.DataFrame())


def test_quantiles_are_those_of_the_values() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 21))
    row = seeds.summary(repeats(values.tolist())).loc["adam"]
    expected = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95], method="averaged_inverted_cdf")
    assert row[["low", "lower", "median", "upper", "high"]].tolist() == expected.tolist()
    assert row[["n", "diverged", "best", "worst"]].tolist() == [20, 0, 1, 20]
    best = seeds.summary(repeats(values.tolist(), "maximize")).loc["adam", ["best", "worst", "median"]]
    assert best.tolist() == [20, 1, 10.5]


@pytest.mark.parametrize(
    ("direction", "worst", "tail"), [("minimize", np.inf, "high"), ("maximize", -np.inf, "low")]
)
def test_a_diverged_run_is_the_worst_and_counts(direction, worst, tail) -> None:
    # The row of a diverged trial holds the worst float32; that is no number to average.
    lost = repeats([1.0, 2, 3, 3.4e38], direction, diverged=[False, False, False, True])
    row = seeds.summary(lost).loc["adam"]
    assert row["diverged"] == 1
    assert row[["worst", tail]].tolist() == [worst, worst]
    assert row["median"] == (2.5 if direction == "minimize" else 1.5)
    table = seeds.seeds_table("regression", lost)
    assert "| diverged |" in table.markdown()
    assert "Diverged or failed, counted as worse than any other: adam 1." in table.notes


def test_one_seed_is_its_own_every_quantile() -> None:
    row = seeds.summary(repeats([0.5])).loc["adam"]
    assert set(row[["low", "lower", "median", "upper", "high", "best", "worst"]]) == {0.5}


def test_the_published_best_stands_beside_the_seeds() -> None:
    table = seeds.seeds_table("regression", repeats([0.02, 0.03, 0.04]))
    assert (
        table.markdown()
        .splitlines()[2]
        .endswith("| 0.0200 | 0.0200 | 0.0200 | 0.0300 | 0.0400 | 0.0400 | 0.0400 | 0.0212 |")
    )
    assert "our seeds are not chosen" in " ".join(table.notes)
    changed = repeats([0.02])
    for alone in (
        seeds.seeds_table("regression_small", changed),
        seeds.seeds_table("regression", changed._replace(trials=changed.trials.assign(protocol="paper_new"))),
    ):
        assert alone.markdown().splitlines()[2].endswith("| – |")
        assert alone.notes == []


@pytest.mark.slow
def test_tables_write_the_seeds_apart_from_the_searches(tmp_path, capsys) -> None:
    for optimizer in ("sgd", "adam"):
        synthetic.write_study(tmp_path, optimizer, trials=5, epochs=4, sampler="fixed")
    where = ["--task", "regression", "--results", str(tmp_path)]
    commands.main(["tables", *where])
    alone = {
        f"paper-regression-seeds{name}.md"
        for name in ("", "_confirmed", "_verdicts", "_last_epoch", "_budgets")
    }
    alone.add("paper-regression-fairness.md")
    assert {path.name for path in (tmp_path / "tables").glob("*.md")} == alone
    synthetic.write_study(tmp_path, "adam", trials=5, epochs=4, sampler="random")
    commands.main(["tables", *where])
    names = {path.name for path in (tmp_path / "tables").glob("*.md")}
    assert names == alone | {f"paper-regression{name}.md" for name in ("", "-time_to_target", "-tuning")}
    assert "fixed" not in (tmp_path / "tables" / "paper-regression.md").read_text()
    lines = (tmp_path / "tables" / "paper-regression-seeds.md").read_text().splitlines()
    assert [line.split(" | ")[:2] for line in lines if line.startswith(("| ADAM", "| SGD"))] == [
        ["| ADAM", "5"],
        ["| SGD", "5"],
    ]
    commands.main(["figures", *where])
    assert not list((tmp_path / "figures").glob("*fixed*"))
    with pytest.raises(SystemExit):
        commands.main(["figures", *where, "--samplers", "nothing"])
    assert "samplers with records: fixed, random" in capsys.readouterr().err
    assert list(runs.load_samplers("regression", results=tmp_path)) == ["random"]
