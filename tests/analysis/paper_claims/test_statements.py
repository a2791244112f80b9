"""The claims as data: about tasks and optimizers of the paper, resting on tests that exist."""

import importlib
from pathlib import Path

import pytest

from induced_metric.analysis.paper_claims.statements import IDENTITIES, STATEMENTS
from induced_metric.records import published

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda each: each.claim)
def test_a_claim_is_about_a_task_and_optimizers_of_the_paper(statement) -> None:
    known = set(published.summary(statement.task).index)
    assert known
    assert {name for pair in statement.pairs for name in pair} <= known
    assert all(one != other for one, other in statement.pairs)


def test_every_claim_from_8_to_15_is_there_once() -> None:
    claims = [each.claim for each in (*STATEMENTS, *IDENTITIES)]
    assert len(set(claims)) == len(claims)
    assert {int(claim.rstrip("abcde")) for claim in claims} == set(range(8, 16))


@pytest.mark.parametrize(
    "evidence", [name for each in IDENTITIES for name in each.tests], ids=lambda each: each.rpartition("/")[2]
)
def test_what_a_claim_on_the_update_rests_on_exists(evidence) -> None:
    path, _, name = evidence.partition("::")
    if not path.endswith(".py"):
        module, _, function = path.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))
    else:
        assert f"def {name or 'main'}(" in (ROOT / path).read_text(encoding="utf-8")
