"""The README's snippets run as they stand."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
SECTIONS = {
    "Use it in your JAX code": 1,
    "Use it in your PyTorch code": 1,
    "Put the metric on your optimizer": 2,
    "Put any JAX program under a search": 1,
}


def snippets(heading):
    """The python snippets between a heading of the README and the next one."""
    text = README.read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"README.md has no section {heading!r}"
    return re.findall(r"^```python\n(.*?)^```", section.group(1), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("heading", SECTIONS)
def test_snippets_of_the_section_run(heading):
    found = snippets(heading)
    assert len(found) >= SECTIONS[heading]
    for snippet in found:
        if re.search(r"^import torch$", snippet, re.MULTILINE):
            pytest.importorskip("torch", minversion="2.6")
        exec(compile(snippet, f"README.md, {heading}", "exec"), {})


@pytest.mark.parametrize("name", ["agreement", "seeds"])
def test_the_tables_of_the_regression_study_are_those_of_the_records(name):
    from induced_metric import records
    from induced_metric.analysis import agreement, runs, seeds

    results = README.parent / "results" / "published"
    if name == "agreement":
        ours = runs.load_samplers("regression", results=results)
        table = agreement.agreement_table("regression", ours, n=50)
    else:
        table = seeds.seeds_table("regression", records.load("regression", sampler="fixed", results=results))
    assert table.markdown() in README.read_text(encoding="utf-8")
