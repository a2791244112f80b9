"""Who may import what, as docs/architecture.md says: an allow-list, so what has no row fails."""

import ast
import importlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "induced_metric"
OURS = "induced_metric"

# Room -> rooms or modules of ours that it may import, beside itself; and libraries, beside Python's own.
ROOMS = {
    "__init__": ("optimizers", ""),
    "__main__": ("cli", ""),
    "errors": ("", ""),
    "files": ("errors", ""),
    "xla": ("", ""),
    "space": ("", "numpy"),
    "optimizers": ("", "jax optax numpy"),
    "torch": ("", "torch"),
    "models": ("", "jax flax numpy"),
    "data": ("errors", "numpy tensorflow_datasets requests google"),
    "tasks": ("models data errors", "jax numpy typing_extensions"),
    "lanes": ("errors", "jax numpy optuna"),
    "training": ("tasks.base models lanes errors files", "jax numpy optax"),
    "records": ("errors files", "pandas pyarrow yaml"),
    "studies": ("training lanes records space errors", "numpy optuna sklearn scipy threadpoolctl sqlalchemy"),
    "tracking": ("records errors", "pandas pyarrow wandb"),
    "landscapes": ("space errors", "jax numpy optax scipy pandas"),
    "analysis": (
        "records studies.schedule space errors",
        "numpy pandas scipy matplotlib PIL plotly rich",
    ),
    "cli": (
        "errors files xla space tasks lanes training records studies tracking landscapes analysis data",
        "jax hydra omegaconf yaml pydantic rich optuna_dashboard pandas pyarrow submitit",
    ),
}
# Only where a function asks for it: importing the room must not need it.
LAZILY = {"tensorflow_datasets", "wandb", "sklearn", "sqlalchemy", "submitit", "optuna_dashboard"}
TYPE_CHECKING = "if TYPE_CHECKING:"


def imports(path: Path) -> dict[str, bool]:
    """Modules that a file imports, or names from them, and whether as soon as it is imported."""
    tree = ast.parse(path.read_text())
    later = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node).startswith(TYPE_CHECKING))
        for child in ast.walk(node)
    }
    found: dict[str, bool] = {}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            found[name] = found.get(name, False) or id(node) not in later
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = sorted(SOURCE.rglob("*.py"))


def test_every_room_has_a_row_and_every_row_a_room():
    assert {room_of(path) for path in FILES} == set(ROOMS)


def test_the_table_of_the_document_is_this_list():
    text = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("## Who imports whom")[1].split("\n## ")[0]
    told = {}
    for row in re.findall(r"^\| (`.*) \|$", section, re.MULTILINE):
        rooms, _, imported = row.split(" | ")
        names = re.findall(r"`([\w.]+)`", rooms)
        each = imported.split("; ") if "; " in imported else [imported] * len(names)
        for name, words in zip(names, each, strict=True):
            listed = set(re.findall(r"`([\w.]+)`", words))
            told[name] = told.keys() - {"__init__", "__main__"} - listed if "all above" in words else listed
    assert told == {room: set(ours.split()) for room, (ours, _) in ROOMS.items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_room_may(path):
    room = room_of(path)
    ours, libraries = (allowed.split() for allowed in ROOMS[room])
    for module, at_once in imports(path).items():
        top, _, inside = module.partition(".")
        if top == OURS:
            allowed = [room, *ours]
            assert any(f"{inside}.".startswith(f"{name}.") for name in allowed), (
                f"{room} may import {', '.join(allowed)} of ours, not {module}"
            )
        elif top not in sys.stdlib_module_names:
            assert top in libraries, f"{room} may import {', '.join(libraries) or 'no library'}, not {module}"
            assert not (at_once and top in LAZILY), f"{path.name} must import {top} where it is used"


def test_a_room_may_import_no_library_that_it_does_not():
    used: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in FILES:
        used[room_of(path)] |= {module.partition(".")[0] for module in imports(path)}
    unused = {room: set(words.split()) - used[room] for room, (_, words) in ROOMS.items()}
    assert not any(unused.values()), unused


def check_order(graph: dict[str, set[str]]) -> None:
    """Fails unless there is an order in which none imports a later one."""
    while graph:
        ready = {name for name, needed in graph.items() if not needed & graph.keys()}
        assert ready, f"a circle among {', '.join(sorted(graph))}"
        graph = {name: needed for name, needed in graph.items() if name not in ready}


def test_the_rooms_have_an_order_in_which_none_imports_a_later_one():
    check_order({room: {name.split(".")[0] for name in ours.split()} for room, (ours, _) in ROOMS.items()})


def test_so_have_the_folders_and_modules_of_the_analysis():
    graph: dict[str, set[str]] = {}
    for path in (SOURCE / "analysis").rglob("*.py"):
        own = path.relative_to(SOURCE / "analysis").parts[0].removesuffix(".py")
        inside = [module.split(".")[2] for module in imports(path) if module.startswith(f"{OURS}.analysis.")]
        graph.setdefault(own, set()).update(set(inside) - {own})
    assert {"searches", "tuning", "reports"} < graph.keys()
    check_order(graph)


def test_modules_import_no_circle():
    names = {
        ".".join([OURS, *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in FILES
    }
    graph = {}
    for name, path in names.items():
        at_once = [module.split(".") for module, now in imports(path).items() if now]
        needed = {".".join(parts[: end + 1]) for parts in at_once for end in range(len(parts))} & names.keys()
        # A package and its own modules: __init__ only hands their names on.
        graph[name] = {other for other in needed - {name} if not name.startswith(f"{other}.")}
    check_order(graph)


def test_a_part_of_the_package_can_be_named_without_an_import_of_its_own():
    code = "import induced_metric as m; print(m.optimizers.power(0.5).slope(4.0), m.__version__)"
    slope, version = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert (float(slope), version) == (0.25, metadata.version("induced-metric"))
    with pytest.raises(AttributeError, match="no attribute 'optimisers'"):
        getattr(importlib.import_module("induced_metric"), "optimisers")  # noqa: B009


def test_importing_the_package_starts_no_heavy_library():
    code = "import sys, induced_metric; print(sorted({'jax', 'torch', 'wandb', 'optuna'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
