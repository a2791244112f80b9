"""Claims decided from records, and again when others are added; the table, the command, the short table."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest
import synthetic

from induced_metric.analysis import paper_claims
from induced_metric.analysis.paper_claims.first_screen import BEGIN, END
from induced_metric.cli import commands
from induced_metric.errors import UserError

NOTHING = paper_claims.NOT_RUN


@pytest.fixture
def results(tmp_path) -> Path:
    for optimizer in ("sgd_rms", "adamw"):
        synthetic.write_study(tmp_path, optimizer, trials=20, epochs=4, sampler="random")
    return tmp_path


def rows(table, claim, source=None):
    own = table[table["claim"] == claim]
    return own if source is None else own[own["source"] == source].iloc[0]


def test_a_claim_without_records_is_not_run_here(tmp_path) -> None:
    table = paper_claims.decide_all(tmp_path)
    assert rows(table, "8a")["verdict"].tolist() == ["unresolved", NOTHING]
    assert rows(table, "11a", "published")["verdict"] == "contradicted"
    assert rows(table, "12a", "published")["verdict"] == "supported"
    assert set(rows(table, "1")["verdict"]) == {NOTHING}
    assert rows(table, "14")["verdict"].tolist() == ["shown by tests"]
    assert rows(table, "13")["verdict"].tolist() == ["not decided by records"]


def test_records_decide_with_effect_interval_n_method_and_digests(results) -> None:
    row = rows(paper_claims.decide_all(results), "9a", "random")
    assert row["low"] < row["effect"] < row["high"]
    assert (row["of"], row["n"]) == ("SGD_RMS - ADAMW", "20 trials")
    assert row["method"] == "mean of the best 5; bootstrap over trial numbers"
    for name in ("sgd_rms", "adamw"):
        path = results / "records/paper/regression/random" / name / "trials.parquet"
        digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        assert f"paper/regression/random/{name}@{digits}" in row["records"].split()


def test_what_is_not_on_record_keeps_a_claim_from_being_supported(results) -> None:
    row = rows(paper_claims.decide_all(results), "8a", "random")  # SGD_RMS before six others
    assert row["verdict"] in ("unresolved", "contradicted")
    assert row["method"].endswith("5 of 6 comparisons not on record")
    assert rows(paper_claims.decide_all(results), "8c")["verdict"].tolist() == ["supported", NOTHING]


def test_records_of_others_decide_again(results) -> None:
    before = rows(paper_claims.decide_all(results), "9a", "random")
    synthetic.write_study(results, "sgd_rms", trials=30, epochs=4, sampler="random")
    after = rows(paper_claims.decide_all(results), "9a", "random")
    assert before["records"] != after["records"]
    for optimizer in ("sgd_rms", "adamw"):
        synthetic.write_study(results, optimizer, trials=20, epochs=4, protocol="mine")
    table = paper_claims.decide_all(results)
    assert set(rows(table, "9a")["protocol"]) == {"", "paper", "mine"}


@pytest.mark.parametrize("switched_off", ["xi", "weight_decay"])
def test_optimisers_without_the_metric_or_weight_decay_decide_nothing(results, switched_off) -> None:
    for optimizer in ("sgd_rms", "adamw"):
        synthetic.write_study(results, optimizer, trials=20, epochs=4, sampler="fixed", protocol="other")
    assert (rows(paper_claims.decide_all(results), "9a")["source"] == "fixed").sum() == 1
    for path in (results / "records" / "other").rglob("trials.parquet"):
        pd.read_parquet(path).assign(**{switched_off: 0.0}).to_parquet(path)
    assert "fixed" not in set(rows(paper_claims.decide_all(results), "9a")["source"])


def test_the_command_writes_the_table_and_the_short_one(results, capsys) -> None:
    readme = results / "README.md"
    readme.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\nAfter.\n", encoding="utf-8")
    commands.main(["claims", "--results", str(results), "--readme", str(readme)])
    shown = capsys.readouterr().out
    assert (
        "9a. Regression: SGD_RMS reaches better values than AdamW\n  unresolved: regression published;"
        in shown
    )
    assert "regression paper random; SGD_RMS - ADAMW " in shown
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "old" not in text
    assert "[(a) (b) unresolved](./records/paper/regression)" in text
    assert "shown by tests; (c) not decided by records" in text
    written = {path.name for path in (results / "tables").iterdir()}
    assert written == {"claims.md", "claims.csv", "claims.tex"}
    assert "Welch's t of the best runs" in (results / "tables/claims.md").read_text(encoding="utf-8")


def test_sources_that_differ_are_counted() -> None:
    table = paper_claims.decide_all("nowhere")
    published = table[(table["claim"] == "8c") & (table["group"] == "published")]
    twice = published.assign(group="search", protocol="paper", source="random")
    changed = published.assign(group="search", protocol="paper", source="tpe", verdict="unresolved")
    short = paper_claims.first_screen(pd.concat([twice, changed]), Path("nowhere"), Path())
    assert "| 1 supported, 1 unresolved |" in short.replace("(c) ", "")


def column(screen, claim, heading) -> str:
    """The cell of a claim below a heading; the headings are those of the claim's own table."""
    lines = screen.splitlines()
    row = next(line for line in lines if line.startswith(f"| {claim}. "))
    above = lines[: lines.index(row)]
    headings = next(line for line in reversed(above) if line.startswith("| Claim "))
    cells = dict(zip(headings.split(" | "), row.split(" | "), strict=True))
    return cells[heading]


def test_each_verdict_stands_in_the_column_of_its_rules() -> None:
    table = paper_claims.decide_all("nowhere")
    row = table[(table["claim"] == "8c") & (table["group"] == "published")]
    shown = {
        ("search", "fair"): "Searches under `fair`",
        ("confirmed", "fair"): "Winners under `fair`, fresh seeds |",
        ("seeds", "paper"): "The paper's best settings, fresh seeds",
    }
    for (group, rules), heading in shown.items():
        added = [row.assign(group=group, protocol=name, verdict=word, source="tpe")
                 for name, word in ((rules, "contradicted"), ("mine", "never shown"))]  # fmt: skip
        screen = paper_claims.first_screen(pd.concat([table, *added]), Path("nowhere"), Path())
        assert column(screen, 8, heading).startswith("(c) contradicted")
        assert "never shown" not in screen


def test_a_verdict_that_depends_on_the_tolerance_is_shown_with_both() -> None:
    table = paper_claims.decide_all("nowhere")
    first = table[table["claim"] == "1"]
    both = [first.assign(source=source, verdict=word) for source, word in
            (("published start", "supported"), ("published start, 1e-10", "contradicted"),
             ("tuned", "unresolved"), ("tuned, 1e-10", "unresolved"))]  # fmt: skip
    screen = paper_claims.first_screen(
        pd.concat([table[table["claim"] != "1"], *both]), Path("nowhere"), Path()
    )
    heading = "The paper's grid, its best run from one start"
    assert column(screen, 1, heading) == "supported, at 1e-10 contradicted"
    assert column(screen, 1, "Random starts, tuned to each function") == "unresolved"
    assert column(screen, 2, heading) == NOTHING


def test_bad_input_ends_in_one_sentence(tmp_path, monkeypatch, capsys) -> None:
    document = tmp_path / "README.md"
    document.write_text("nothing", encoding="utf-8")
    with pytest.raises(UserError, match="must have the lines"):
        paper_claims.put_into(document, "")
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESULTS", raising=False)
    with pytest.raises(SystemExit) as ended:
        commands.main(["claims"])
    assert ended.value.code == 2
    assert "no records under" in capsys.readouterr().err
