"""The documents: their snippets run, their tables are those of the records, their links lead somewhere."""

import argparse
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import synthetic
import yaml

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "results" / "published"
DOCUMENTS = [ROOT / "README.md", PUBLISHED / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SECTIONS = {
    ("README.md", "Use the optimisers"): 2,
    ("docs/optimizers.md", "Use it in your JAX code"): 1,
    ("docs/optimizers.md", "Use it in your PyTorch code"): 1,
    ("docs/optimizers.md", "Put the metric on your optimiser"): 2,
    ("docs/adding.md", "Any JAX program in lanes"): 2,
}
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


def snippets(document, heading, language):
    """The snippets in a language between a heading of a document and the next one."""
    text = (ROOT / document).read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"{document} has no section {heading!r}"
    found = re.findall(r"^```(\w*)\n(.*?)^```", section.group(1), re.MULTILINE | re.DOTALL)
    return [text for its, text in found if its == language]


def prose(path):
    """A document without its snippets."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path):
    """The anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("document", "heading"), SECTIONS)
def test_snippets_of_the_section_run(document, heading):
    found = snippets(document, heading, "python")
    assert len(found) >= SECTIONS[document, heading]
    for snippet in found:
        if re.search(r"^import torch$", snippet, re.MULTILINE):
            pytest.importorskip("torch", minversion="2.6")
        exec(compile(snippet, f"{document}, {heading}", "exec"), {})


def test_the_optimizer_of_the_recipe_takes_a_step():
    import jax.numpy as jnp

    names = {}
    exec(snippets("docs/adding.md", "An optimiser", "python")[0], names)
    settings = yaml.safe_load(snippets("docs/adding.md", "An optimiser", "yaml")[0])["optimizer"]
    target, _ = settings.pop("_target_"), settings.pop("name")
    optimizer = names[target.rpartition(".")[2]](**settings)
    updates, _ = optimizer.update(jnp.array([3.0, 4.0]), optimizer.init(jnp.zeros(2)))
    assert updates == pytest.approx([-0.006, -0.008], rel=1e-4)


def test_the_task_of_the_recipe_is_made_of_its_settings():
    import jax

    names = {}
    exec(snippets("docs/adding.md", "A task", "python")[0], names)
    config = yaml.safe_load(snippets("docs/adding.md", "A task", "yaml")[0])
    settings = config["task"] | {"objective": "test/accuracy", "precision": "float32"}
    task = names[settings.pop("_target_").rpartition(".")[2]](**settings)
    params, state = task.init(jax.random.key(0))
    assert 0 <= task.metrics(params, state, task.splits["test"])["accuracy"] <= 1
    assert config["search_space"]["task"].keys() <= settings.keys()


def test_the_sampler_of_the_recipe_proposes_trials():
    import optuna
    from omegaconf import OmegaConf

    from induced_metric.cli import searching

    cfg = OmegaConf.create(yaml.safe_load(snippets("docs/adding.md", "A sampler or a pruner", "yaml")[0]))
    first, again = (
        optuna.create_study(sampler=searching.sampler(cfg)(seed=seed)).ask().suggest_float("x", 0, 1)
        for seed in (3, 3)
    )
    assert first == again


def test_the_schedule_of_the_recipe_takes_traced_numbers():
    import jax
    import jax.numpy as jnp

    from induced_metric.optimizers import schedules

    names = dict(vars(schedules))
    exec(snippets("docs/adding.md", "A learning-rate schedule", "python")[0], names)
    settings = yaml.safe_load(snippets("docs/adding.md", "A learning-rate schedule", "yaml")[0])
    schedule, _ = names[settings.pop("_target_").rpartition(".")[2]], settings.pop("name")
    rates = jax.jit(lambda rate, numbers: schedule(rate, 100, **numbers)(jnp.array([0, 10, 40])))
    assert rates(0.2, settings) == pytest.approx([0.2, 0.2, 0.1])


def test_the_table_of_the_recipe_is_made_of_records(tmp_path):
    from induced_metric import records
    from induced_metric.analysis.rendering import Table

    synthetic.write_study(tmp_path, "sgd", trials=6, epochs=2)
    found = records.load("regression", results=tmp_path)
    names = {}
    exec(snippets("docs/adding.md", "A table or a figure", "python")[0], names)
    (report,) = (text for text in snippets("docs/adding.md", "A table or a figure", "") if "Report(" in text)
    module = SimpleNamespace(divergence_table=names["divergence_table"])
    (made,) = eval(f"({report})", {"Report": lambda *facts: facts[-1], "divergence": module})
    table = made(SimpleNamespace(task="regression", ours={"tpe": found}))
    assert isinstance(table, Table)
    assert f"| SGD | tpe | {found.trials['diverged'].mean():.1%} |" in table.markdown()


def test_the_command_of_the_recipe_says_what_is_recorded(tmp_path, capsys):
    synthetic.write_study(tmp_path, "sgd", trials=6, epochs=2)
    names, parser = {}, argparse.ArgumentParser()
    exec(snippets("docs/adding.md", "A command", "python")[0], names)
    names["arguments"](parser)
    names["run"](**vars(parser.parse_args(["--task", "regression", "--results", str(tmp_path)])))
    assert capsys.readouterr().out == "tpe sgd: 6\n"


def test_the_function_of_the_recipe_is_least_where_its_entry_says():
    import jax.numpy as jnp

    from induced_metric.landscapes import functions

    names = dict(vars(functions))
    exec(snippets("docs/adding.md", "A function of two variables", "python")[0], names)
    (entry,) = (x for x in snippets("docs/adding.md", "A function of two variables", "") if "Landscape(" in x)
    ((_, found),) = eval(f"{{{entry}}}", names).items()
    for minimum in found.minima:
        assert found.fn(jnp.array(minimum)) == pytest.approx(found.minimum, abs=1e-6)
        assert found.fn(jnp.array(minimum) + 0.1) > found.minimum


@pytest.mark.parametrize("name", ["agreement", "seeds"])
def test_the_tables_of_the_regression_study_are_those_of_the_records(name):
    from induced_metric import records
    from induced_metric.analysis import runs
    from induced_metric.analysis.confirmations import seeds
    from induced_metric.analysis.searches import agreement

    if name == "agreement":
        ours = runs.load_samplers("regression", results=PUBLISHED)
        table = agreement.agreement_table("regression", ours, n=50)
    else:
        table = seeds.seeds_table(
            "regression", records.load("regression", sampler="fixed", results=PUBLISHED)
        )
    assert table.markdown() in (PUBLISHED / "README.md").read_text(encoding="utf-8")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_claims_of_the_first_screen_are_those_of_the_records():
    from induced_metric.analysis import paper_claims
    from induced_metric.analysis.paper_claims.first_screen import BEGIN, END

    table = paper_claims.decide_all(PUBLISHED)
    block = paper_claims.first_screen(table, PUBLISHED, ROOT)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    renew = "make claims RESULTS=results/published"
    assert f"{BEGIN}\n{block}\n{END}" in text, f"the claims are others now: {renew}"
    written = (PUBLISHED / "tables" / "claims.md").read_text(encoding="utf-8")
    assert paper_claims.claims_table(table).markdown() in written, f"claims.md is another now: {renew}"


PRESETS = {"mnist_small": (2, 4), "cifar10_small": (3, 3), "shakespeare_small": (4, 2)}


def best_quarter(task):
    """The best quarter of a preset's trials: a column of values by optimizer."""
    from induced_metric import records
    from induced_metric.analysis import runs

    found = records.load(task, results=PUBLISHED)
    best = runs.top(found.trials, runs.best_count({"tpe": found}))
    return best.groupby("optimizer")["value"], best["direction"].iloc[0]


def test_the_table_of_the_presets_is_that_of_the_records():
    text = (PUBLISHED / "README.md").read_text(encoding="utf-8")
    columns = {}
    for task, (_, digits) in PRESETS.items():
        values, direction = best_quarter(task)
        first = values.max() if direction == "maximize" else values.min()
        columns[task] = {
            name: f"{mean:.{digits}f} ({first[name]:.{digits}f})" for name, mean in values.mean().items()
        }
    for name in columns["mnist_small"]:
        cells = [columns[task][name] for task in PRESETS]
        assert f"| {name.upper()} | {' | '.join(cells)} |" in text


@pytest.mark.parametrize("task", PRESETS)
def test_the_rank_correlations_of_the_presets_are_those_of_the_records(task):
    from induced_metric.analysis.statistics import rank_correlation
    from induced_metric.records import published

    number, _ = PRESETS[task]
    values, _ = best_quarter(task)
    paper = published.summary(task.removesuffix("_small"))["metric_mean"]
    correlation, p = rank_correlation(values.mean(), paper[values.mean().index])
    row = f"| `{task}` | Table {number} | {correlation:.2f} | {p:.3f} |"
    assert row in (PUBLISHED / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(path):
    for target, anchor in LINK.findall(prose(path)):
        linked = path.parent / target if target else path
        assert linked.exists(), f"{path.name} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors(linked), f"{linked.name} has no heading #{anchor}"


def test_the_readme_stays_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    own, begin, rest = text.partition("<!-- claims: made")
    assert begin
    assert len((own + rest.partition("<!-- claims end -->")[2]).splitlines()) <= 140
