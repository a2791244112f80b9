"""The report says what the tables say, links to what is there, and needs nothing else."""

import functools
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest
import synthetic
import tuned

from induced_metric import records
from induced_metric.analysis import making, report, reports
from induced_metric.analysis.rendering import Table
from induced_metric.analysis.report import assemble, evidence, looks, matrix, trials, tuning, winners
from induced_metric.analysis.report import part as parts
from induced_metric.analysis.style import label, ordered
from induced_metric.analysis.tuning import tuning_curves
from induced_metric.records import CONFIRMED, WITHOUT, published
from induced_metric.space import Float

pytestmark = pytest.mark.slow


class Outline(HTMLParser):
    """The headings, anchors and links of a page, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.levels, self.ids, self.links, self.loads = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        elif "src" in found or "href" in found:
            self.loads.append(found.get("src") or found["href"])


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(text):
    return Outline(text)


@pytest.fixture(scope="module")
def part(recorded):
    return parts.read("paper", "regression", recorded, functools.cache(records.load))


def test_the_page_needs_nothing_else(page, outline):
    assert outline.loads == []
    assert page.stat().st_size < 3e6  # of which plotly.js is two thirds


def test_every_link_leads_somewhere(recorded, outline):
    assert len(outline.ids) == len(set(outline.ids))
    for link in outline.links:
        if link.startswith("#"):
            assert unquote(link[1:]) in outline.ids
        else:
            assert (recorded / unquote(link)).exists(), link
    assert any(link.endswith("random/sgd_rms/trials.parquet") for link in outline.links)


def test_no_level_of_headings_is_left_out(outline):
    assert outline.levels[0] == 1
    assert outline.levels.count(1) == 1
    assert all(below <= above + 1 for above, below in zip(outline.levels, outline.levels[1:], strict=False))


def test_fair_comes_first_and_the_paper_last(outline):
    assert (
        outline.ids.index("fair-mnist_small")
        < outline.ids.index("paper-regression")
        < outline.ids.index("claims")
    )


def test_every_table_is_there_with_its_notes(recorded, text):
    from html import escape

    said = re.sub(r'<a href="#table-[^"]*">([^<]*)</a>', r"\1", text)
    for _, made in making.make("tables", "regression", results=recorded):
        for sentence in (made.title, *made.notes):
            assert escape(sentence) in said
        for cell in made.cells.iloc[-1]:
            assert escape(str(cell)) in text


def test_a_new_table_joins_by_itself(part, monkeypatch):
    cells = pd.DataFrame({"Optimiser": ["ADAM"], "Why": ["it <is>"], "n": ["3"]})
    table = Table(cells, cells, pd.DataFrame(index=cells.index), "A new table", ["And a note"])
    new = reports.Report("tables", "new", "searches", lambda _: table)
    monkeypatch.setattr(reports, "REPORTS", (*reports.REPORTS, new))
    found = {section.name: section for section in assemble.sections(part, assemble.tables(part, set()))}
    shown = found["more"].blocks[-1]  # after those that are on record and in no section
    assert (shown.name, shown.table.title) == ("paper-regression-new", "A new table")


def test_a_table_that_cannot_be_made_says_why(part, monkeypatch):
    def fails(material):
        raise ValueError("adam and sgd share 0 seeds")

    monkeypatch.setattr(reports, "REPORTS", (reports.Report("tables", "verdicts", "searches", fails),))
    section = assemble.sections(part, assemble.tables(part, set()))[0]
    said = [block.html for block in section.blocks if hasattr(block, "html")]
    assert any("paper-regression-verdicts: not made, adam and sgd share 0 seeds." in html for html in said)


def test_a_task_without_an_eligible_trial_does_not_keep_the_page_from_the_others(tmp_path):
    for sampler in ("random", "fixed"):
        synthetic.write_study(
            tmp_path, "sgd", epochs=4, trials=1, sampler=sampler
        )  # the first trial diverged
    synthetic.write_study(tmp_path, "adam", epochs=4, protocol="fair")
    synthetic.write_study(tmp_path, "sgd", epochs=4, trials=1, protocol="fair")
    said = report.write(tmp_path).read_text(encoding="utf-8")
    for name in ("The ranking after k trials", "The tuning curves", "The effect of the seed"):
        assert f"{name}: not made, there is no complete trial." in said
    assert 'id="fair-regression-section-tuning"' in said


def test_the_slider_has_the_ranking_of_every_number_of_trials(part):
    made = tuning.ranking(part)
    frame = made.frames["random"]
    assert frame["budgets"] == list(range(1, 13))
    for place, k in enumerate(frame["budgets"]):
        own = tuning_curves.curves(part.searches, [k])
        own = own[own["source"] == "random"].sort_values("best")
        assert [frame["names"][index] for index in frame["orders"][place]] == own["optimizer"].tolist()
        best = [frame["best"][index][place] for index in frame["orders"][place]]
        assert best == pytest.approx(own["best"].tolist(), rel=1e-4)
    # Of a single study nothing is known of the error.
    assert made.frames["tpe"]["low"] == []


def test_a_verdict_is_seen_from_both_sides():
    pairs = pd.DataFrame(
        {
            "optimizer": ["adam", "adam", "sgd"],
            "other": ["sgd", "sgd_rms", "sgd_rms"],
            "verdict": ["better", "undecided", "worse"],
            "difference": [-0.02, 0.001, 0.03],
            "low": [-0.03, -0.01, 0.01],
            "high": [-0.01, 0.02, 0.05],
            "logarithmic": False,
        }
    )
    rows = re.findall(r"<tr>(.*?)</tr>", matrix.matrix(pairs, "table"))[1:]
    words = [re.findall(r"</span> (\w+)<small>([^<]+)", row) for row in rows]
    assert words == [
        [("better", "-0.0200"), ("undecided", "+0.0010")],
        [("worse", "+0.0200"), ("worse", "+0.0300")],
        [("undecided", "-0.0010"), ("better", "-0.0300")],
    ]
    assert 'title="[+0.0100, +0.0300]"' in rows[1]
    assert matrix.sentence(pairs) == (
        "3 pairs: ADAM is better than 1 other; SGD_RMS is better than 1 other; 1 undecided."
    )
    ratios = re.findall(r"<small>([^<]+)", matrix.matrix(pairs.assign(logarithmic=True), "table"))
    assert ratios[:3] == ["0.980", "1.001", "1.020"]


def test_every_trial_is_drawn_against_each_of_its_hyperparameters(part):
    made = trials.response(part)
    options = {choice.name: list(choice.options) for choice in made.choices}
    assert options["parameter"][0] == "learning_rate"
    assert options["optimizer"] == [*ordered(part.searches["tpe"].trials["optimizer"]), "*"]
    (trace,) = [
        trace
        for trace in made.figure.data
        if trace.meta == {"parameter": "xi", "source": "tpe", "optimizer": "sgd_rms"}
    ]
    own = part.searches["tpe"].trials
    own = own[own["optimizer"] == "sgd_rms"]
    assert trace.x.tolist() == pytest.approx(own["xi"].tolist())
    # Diverged ones too, on the upper edge.
    assert len(trace.y) == 12
    assert own["value"].max() > 1e30
    assert own["value"].min() < max(trace.y) < 10


def test_a_searched_setting_of_the_task_is_drawn_too(part):
    own = part.searches["tpe"].trials
    searched = {"task": {"width": {"type": "int", "low": 8, "high": 64}}}
    config = own["config"].map(lambda text: json.dumps(json.loads(text) | {"search_space": searched}))
    wide = own.assign(**{"config": config, "task.width": range(8, 8 + len(own))})
    changed = {"tpe": part.searches["tpe"]._replace(trials=wide)}
    made = trials.response(part._replace(searches=changed))
    assert {trace.meta["parameter"] for trace in made.figure.data} == {"task.width"}
    (choice,) = (each for each in made.choices if each.name == "parameter")
    assert [shape["x0"] for shape in choice.layouts["task.width"]["shapes"]] == [8, 64]


def test_the_published_means_are_drawn_only_over_runs_under_the_papers_rules(part):
    changed = {name: study._replace(trials=study.trials.assign(protocol="fair"))
               for name, study in part.searches.items()}  # fmt: skip
    named = [
        {trace.name for trace in winners.best_runs(each).figure.data}
        for each in (part, part._replace(searches=changed))
    ]
    assert named[0] - named[1] == {f"{label(name)}, published" for name in published.optimizers()}


def test_the_bound_of_a_mirrored_dimension_is_drawn_where_it_lies():
    momentum = Float(0.0, 0.9997, log=True, complement=True)
    layout = trials._layout("momentum", {"tpe": {"sgd": {"momentum": momentum}}})
    assert [shape["x0"] for shape in layout["shapes"]] == pytest.approx([1, 0.0003])
    low, high = layout["xaxis.range"]
    assert low > high  # large momenta to the right


@pytest.mark.parametrize("ends", [(1e-8, 1e4), (0.02, 0.9), (0.5, 0.7)])
def test_ticks_of_a_logarithmic_axis_lie_on_it(ends):
    axis = looks.log_axis(*ends)
    within = [tick for tick in axis.get("tickvals", []) if ends[0] <= tick <= ends[1]]
    assert 3 <= len(within) <= 12 or (ends == (0.5, 0.7) and "tickvals" not in axis)


def test_the_commands_name_what_was_run(part):
    said = evidence.commands(part)
    assert (
        "python sweeps/sweep.py protocol=paper task=regression optimizer=adam,sgd,sgd_rms sampler=random "
        "trials=12"
    ) in said
    assert "make tables TASK=regression PROTOCOL=paper RESULTS=" in said
    assert "make trial STUDY=paper/regression/random/adam TRIAL=0 RESULTS=" in said


def test_the_commands_of_confirmations_name_the_search_and_what_is_left_out(tmp_path):
    for search in tuned.STUDIES:
        tuned.write(tmp_path, "lion", search, 12)
        for sampler in (f"{search}{CONFIRMED}", f"{search}{CONFIRMED}{WITHOUT}xi"):
            tuned.write(tmp_path, "lion", sampler, 3)
    said = evidence.commands(parts.read("fair", "regression", tmp_path, records.load)).splitlines()
    confirmed = (
        "python sweeps/sweep.py protocol=fair task=regression optimizer=lion sampler=confirmed "
        "sampler.of=tpe sampler.seed=1000000 sampler.searched=12"
    )
    assert f"{confirmed} studies=2 seed=0 trials=3" in said
    assert any(line.startswith(f"{confirmed} sampler.without=xi studies=2 seed=0 trials=3<") for line in said)


def test_every_claim_is_there_with_its_verdicts_and_links_to_records(recorded, text):
    from induced_metric.analysis import paper_claims

    table = paper_claims.decide_all(recorded)
    for number, own in table.groupby("claim"):
        (shown,) = re.findall(rf'<details id="claim-{number}">(.*?)</details>', text, re.DOTALL)
        badges = re.findall(r'<th scope="row"><span class="badge \w+">([^<]+)', shown)
        assert sorted(badges) == sorted(own["verdict"])
        quoted = own.loc[own["group"] == "published", "verdict"]
        decided = own[own["verdict"].isin(["supported", "contradicted", "unresolved"])]
        (head,) = re.findall(r"<summary>(.*?)</summary>", shown)
        assert all(f"1 {verdict}" in head.partition("by the paper's numbers: ")[2] for verdict in quoted)
        coloured = [words.split() for words in re.findall(r'<span class="badge \w+">([^<]+)', head)]
        assert sum(int(count) for count, _ in coloured) == len(decided) - len(quoted)
    assert re.search(r'<a href="records/paper/regression/fixed/sgd_rms/trials.parquet">[^<]+<code>\w+', text)


def test_the_same_records_give_the_same_page(recorded, page):
    before = page.read_bytes()
    assert report.write(recorded).read_bytes() == before


def test_without_records_it_says_where_there_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no records under {re.escape(str(tmp_path))}; 'make sweep'"):
        report.write(tmp_path)


def test_the_landscapes_are_part_of_it(tmp_path):
    synthetic.write_study(tmp_path, "sgd", epochs=3)
    (tmp_path / "landscapes").mkdir()
    (tmp_path / "landscapes" / "landscapes.html").write_text("<p>paths")
    pd.DataFrame({"claim": [1], "verdict": ["contradicted"]}).to_csv(
        tmp_path / "landscapes" / "verdicts.csv", index=False
    )
    text = report.write(tmp_path).read_text(encoding="utf-8")
    assert 'href="landscapes/landscapes.html"' in text
    assert "<td>contradicted</td>" in text
