"""Who may import what (DESIGN.md), read off the source."""

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "induced_metric"
OURS = "induced_metric"

# Part of the package -> what it must not import: top-level packages, or parts of our own.
FORBIDDEN = {
    "optimizers": {"flax", "hydra", "optuna", "wandb", "pandas", "ours"},
    "torch": {"jax", "optax", "flax", "hydra", "ours"},
    "models": {"optax", "hydra", "optuna", "wandb", "ours"},
    "tasks": {"optax", "hydra", "optuna", "wandb", f"{OURS}.optimizers", f"{OURS}.training"},
    "training": {"hydra", "optuna", "wandb", f"{OURS}.lanes", f"{OURS}.study"},
    "lanes": {"hydra", "optuna", "wandb", "optax", "flax", f"{OURS}.tasks", f"{OURS}.optimizers"},
    "lane_program": {"hydra", "optuna", "wandb", "optax", "flax", f"{OURS}.lanes"},
    "lane_probe": {"hydra", "optuna", "wandb", "optax", "flax"},
    "records": {"jax", "optuna", "wandb", "hydra"},
    "tracking": {"jax", "optuna", "hydra"},
    "plan": {"jax", "hydra", "wandb", f"{OURS}.lanes"},
    "journal": {"jax", "hydra", "wandb"},
    "schedule": {"jax", "optuna", "hydra", "wandb", "ours"},
    "trial": {"hydra", "optuna", "wandb", f"{OURS}.tasks", f"{OURS}.optimizers", f"{OURS}.study"},
    "wandb_search": {"jax", "hydra", "wandb", "ours"},
    "wandb_hyperband": {"jax", "hydra", "wandb", "ours"},
    "study": {"hydra", "wandb", f"{OURS}.tasks", f"{OURS}.optimizers"},
    "analysis": {"jax", "optuna", "hydra", f"{OURS}.training", f"{OURS}.study", f"{OURS}.lanes"},
    "progress": {"jax", "optuna", "hydra", "wandb"},
    "xla": {"jax"},
    "landscapes": {"optax", "hydra", "optuna", "wandb", "ours"},
    "descents": {"hydra", "optuna", "wandb", f"{OURS}.lanes", f"{OURS}.tasks", f"{OURS}.training"},
    "data": {"jax", "optax", "flax", "hydra", f"{OURS}.tasks", f"{OURS}.training"},
    "checkpoints": {"hydra", "optuna", "wandb", f"{OURS}.tasks", f"{OURS}.training"},
}


def imports(path: Path) -> set[str]:
    """Modules that a file imports, those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if part_of(path) in FORBIDDEN]


def test_every_forbidden_rule_has_a_module():
    assert {part_of(path) for path in FILES} == set(FORBIDDEN)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_respect_the_layers(path):
    part = part_of(path)
    for module in imports(path):
        top = module.split(".")[0]
        assert top not in FORBIDDEN[part], f"{part} must not import {module}"
        own = ".".join(module.split(".")[:2])
        foreign = top == OURS and own not in (OURS, f"{OURS}.{part}", f"{OURS}.errors")
        if foreign:
            assert "ours" not in FORBIDDEN[part], f"{part} must import nothing else of ours, not {module}"
        assert own not in FORBIDDEN[part], f"{part} must not import {module}"


def test_importing_the_package_starts_no_heavy_library():
    import subprocess

    code = "import sys, induced_metric; print(sorted({'jax', 'torch', 'wandb', 'optuna'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
