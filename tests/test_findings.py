"""FINDINGS.md and the first screen of the README: their sentences against the records."""

import re
from pathlib import Path

import pandas as pd
import pytest

from induced_metric.analysis import making

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published"
FINDINGS = re.sub(r"\s+", " ", (PUBLISHED / "FINDINGS.md").read_text(encoding="utf-8"))
README = re.sub(r"\s+", " ", (ROOT / "README.md").read_text(encoding="utf-8"))

PAPERS = ("adamw", "muon", "sgd", "sgd_metric", "sgd_log_metric", "sgd_rms")

SPELT = {
    "novograd": "NovoGrad", "adan": "Adan", "nadamw": "NAdamW", "yogi": "Yogi", "adabelief": "AdaBelief",
}  # fmt: skip
OVER_TASKS = "fair-tasks-tpe-overview"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["regression", "mnist_small"])
def fair(request) -> tuple[str, dict[str, object]]:
    """A task, and its tables under ``fair`` by name, made from the records."""
    task = request.param
    made = making.make("tables", task, protocol="fair", results=PUBLISHED)
    return task, {stem.name.removeprefix(f"fair-{task}-"): table for stem, table in made}


@pytest.mark.exhaustive
def test_the_tables_on_disk_are_those_of_the_records(fair) -> None:
    task, tables = fair
    for name in ("tpe-confirmed", "tpe-verdicts", "tpe-overview", "tuning"):
        text = (PUBLISHED / "tables" / f"fair-{task}-{name}.md").read_text(encoding="utf-8")
        assert tables[name].markdown() in text, (
            f"make tables TASK={task} PROTOCOL=fair RESULTS=results/published"
        )


def test_what_is_said_of_the_verdicts_is_so(fair) -> None:
    task, tables = fair
    table = tables["tpe-verdicts"].data
    assert len(table) == 15
    told = table[table["verdict"] != "undecided"]
    leader = {"regression": "adamw", "mnist_small": "muon"}[task]
    pair, least, words = {
        "regression": (
            ["adamw", "muon"],
            0.75,
            "AdamW leads on regression and beats each of the others on three quarters or more",
        ),
        "mnist_small": (["muon", "sgd"], 0.9, "on `mnist_small` Muon does, on nine tenths or more"),
    }[task]
    assert told[["optimizer", "other", "verdict"]].to_numpy().tolist() == [[*pair, "better"]]
    for text in (FINDINGS, README):
        assert re.search(
            "one pair of fifteen on either task|of fifteen pairs on either task one is decided", text
        )
        assert re.search("AdamW (is )?better than Muon on regression, Muon (is )?better than SGD on", text)
    assert superiority(table, leader).min() >= least
    assert words in FINDINGS
    means = tables["tpe-confirmed"].data.set_index("optimizer")["mean"][list(PAPERS)]
    assert (means.idxmin() if task == "regression" else means.idxmax()) == leader


def test_the_optimism_of_regression_is_as_said(fair) -> None:
    task, tables = fair
    if task == "regression":
        table = tables["tpe-confirmed"].data
        paper = table[table["optimizer"].isin(PAPERS)]
        share = paper["optimism"] / (paper["searched"] - paper["optimism"])
        assert share.between(-0.60, -0.30).all()
        assert "it is a third to a half and more" in FINDINGS


def test_what_is_said_of_the_order_on_both_tasks_is_so(fair) -> None:
    task, tables = fair
    made = tables[OVER_TASKS]
    text = (PUBLISHED / "tables" / f"{OVER_TASKS}.md").read_text(encoding="utf-8")
    assert made.markdown() in text
    if task == "regression":
        number = len(made.data)
        (note,) = (note for note in made.notes if "rank correlation" in note)
        correlation = float(re.search(r"rank correlation (-?\d\.\d+) over", note)[1])
        said = f"{correlation:.2f}".replace("-", "−")
        assert (
            f"over the {words(number)} optimisers the rank correlation of their means is {said}" in FINDINGS
        )
        assert f"their rank correlation over {words(number)} optimisers is {said}" in README
        assert not made.data.filter(like="mean").isna().any(axis=None)
        won = {
            name: made.data.set_index("optimizer")[f"{name}: superiority"]
            for name in ("regression", "mnist_small")
        }
        first = {name: shares.idxmax() for name, shares in won.items()}
        assert first == {"regression": "novograd", "mnist_small": "muon_metric"}
        assert (
            f"NovoGrad, which beats AdamW on {won['regression']['novograd']:.0%} of the studies and seeds of "
            f"regression, does on {won['mnist_small']['novograd']:.0%} of those of `mnist_small`"
        ) in FINDINGS
        assert (
            f"Muon with the metric, first there with {won['mnist_small']['muon_metric']:.1%}, on "
            f"{won['regression']['muon_metric']:.0%} of regression's"
        ) in FINDINGS


def test_what_is_said_of_the_further_ones_is_so(fair) -> None:
    task, tables = fair
    table = tables["tpe-overview"].data.set_index("optimizer")
    others = table[~table.index.isin(PAPERS)]
    count = words(len(others))
    assert f"Of the {count} further ones, one is told to be better than AdamW, on one of the two" in FINDINGS
    assert f"Of {count} further optimisers one is told to be better than tuned AdamW, MADGRAD" in README
    better = others.index[others["verdict"] == "better"].tolist()
    shares = {name: f"{share:.0%}" for name, share in others["superiority"].items()}
    worse = others.index[others["verdict"] == "worse"].tolist()
    if task == "regression":
        assert better == []
        assert f"on regression it beats AdamW on {shares['madgrad']}" in FINDINGS
        assert table.index[:2].tolist() == ["novograd", "adan"]
        ahead = others[others["difference"] < 0]
        names = ", ".join(SPELT[name] for name in ahead.index)
        assert f"On regression {words(len(ahead))} have a lower mean ({names})" in FINDINGS
        assert f"Adan on {shares['adan']}" in FINDINGS
        assert (
            f"Simplified AdEMAMix does on {shares['simplified_ademamix']}, and its mean is the last"
            in FINDINGS
        )
        assert table.index[-1] == "simplified_ademamix"
        trainings = pd.concat(
            pd.read_parquet(path)["value"]
            for path in (PUBLISHED / "records/fair/regression").glob(
                "*-confirmed/simplified_ademamix/trials.parquet"
            )
        )
        assert len(trainings) == 100
        assert f"one of its hundred trainings ends at a loss of {trainings.max():.0f}" in FINDINGS
        assert trainings.nlargest(2).iloc[1] < 0.1
        assert sorted(worse) == ["lamb", "rmsprop", "sgd_metric_beta0"]
        assert "RMSProp, LAMB and SGD_METRIC with β = 0 are worse there" in FINDINGS
    else:
        assert table.index[:2].tolist() == ["muon_metric", "muon"]
        assert (better, worse) == (["madgrad"], [])
        row = tables["tpe-verdicts_others"].data.set_index("optimizer").loc["madgrad"]
        said = f"by {row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}], on {shares['madgrad']}"
        assert f"MADGRAD on `mnist_small`, {said} of the studies and seeds" in FINDINGS


def test_what_is_said_of_the_papers_open_questions_is_so(fair) -> None:
    task, tables = fair
    extended = tables["tpe-verdicts_extended"].data.set_index(["optimizer", "other"])
    assert (extended["verdict"] == "undecided").all()
    assert "no variant of the metric is told apart from its base on either task" in FINDINGS
    assert "no variant of the metric is better than its base" in README
    difference = tables["tpe-overview"].data.set_index("optimizer")["difference"]
    leaf = {other: f"{share:.0%}" for other, share in extended.loc["sgd_metric_leaf"]["superiority"].items()}
    muon = extended.loc[("muon_metric", "muon")]
    if task == "regression":
        assert difference["adamw_metric"] > 0
        assert (extended["difference"][[("lion_metric", "lion"), ("muon_metric", "muon")]] > 0).all()
        assert "on regression AdamW, Lion and Muon have a lower mean without it" in FINDINGS
        assert extended.loc["sgd_metric_leaf"]["p"].max() == extended["p"].nsmallest(2).iloc[-1]
        assert (
            f"on regression it beats SGD_METRIC on {leaf['sgd_metric']} of the studies and seeds and SGD on "
            f"{leaf['sgd']}"
        ) in FINDINGS
    else:
        assert muon["difference"] > 0
        assert f"on `mnist_small` Muon with it beats Muon on {muon['superiority']:.0%}" in FINDINGS
        assert difference["adamw_metric"] < 0
        assert extended.loc[("lion_metric", "lion"), "difference"] < 0
        assert f"on `mnist_small` on {leaf['sgd_metric']} and {leaf['sgd']}" in FINDINGS


def words(number: int) -> str:
    """A small number as the text has it."""
    return {5: "five", 26: "twenty-six", 32: "thirty-two"}[number]


def superiority(table: pd.DataFrame, name: str) -> pd.Series:
    """P(better) of an optimizer against each other."""
    first = table.loc[table["optimizer"] == name, "superiority"]
    second = 1 - table.loc[table["other"] == name, "superiority"]
    return pd.concat([first, second])


def test_what_the_shuffling_and_the_data_decide_is_so() -> None:
    claims = pd.read_csv(PUBLISHED / "tables" / "claims.csv", dtype=str)
    verdict = claims.set_index(["claim", "protocol", "source"])["verdict"]
    for claim, found in {"8a": "contradicted", "9a": "supported"}.items():
        assert verdict[claim, "paper_shuffled", "fixed"] == verdict[claim, "paper_new_bits", "fixed"] == found
        assert verdict[claim, "paper", "fixed"] == "unresolved"
    assert "Adam's published best setting is better than SGD_RMS's on 100 fresh seeds" in FINDINGS


def test_what_other_bits_of_the_data_do_is_so() -> None:
    medians = {
        protocol: pd.concat(
            pd.read_parquet(path, columns=["optimizer", "value", "diverged"])
            for path in (PUBLISHED / "records" / protocol / "regression/fixed").glob("*/trials.parquet")
        )
        .query("not diverged")
        .groupby("optimizer")["value"]
        .median()
        .sort_values()
        for protocol in ("paper", "paper_new_bits")
    }
    published, new = medians["paper"], medians["paper_new_bits"]
    share = new / published
    assert share.between(0.175, 0.275).all()
    assert share.median() == pytest.approx(0.225, abs=0.025)
    assert "losses a fifth to a quarter of those on the published bits" in FINDINGS
    assert published.index.drop("muon").tolist() == new.index.drop("muon").tolist()
    assert published.index[-1] == "muon"
    assert new.index[4] == "muon"
    assert "the order of the seven stays, but for Muon, which rises from last to fifth" in FINDINGS
