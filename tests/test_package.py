"""The wheel and the source archive have what a user without the repository needs, and no more."""

import ast
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from induced_metric import __main__ as command_line

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Every one is for people who work in the repository, or for an accelerator.
UNNAMED = {"dev", "cuda12", "cuda13", "tpu", "notebook"}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The files of the wheel, which is built from the source archive, and those of that archive."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "uv", "build", "--offline", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [*command, "--python", sys.executable, "--out-dir", directory, ROOT], check=True, capture_output=True
    )
    (wheel,), (source,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    return zipfile.ZipFile(wheel), inside


def files(folder, *patterns):
    found = [
        path for pattern in patterns for path in folder.rglob(pattern) if "__pycache__" not in path.parts
    ]
    return {path.relative_to(folder).as_posix() for path in found}


def test_the_wheel_has_every_module_configuration_and_number(archives):
    wheel, _ = archives
    package = ROOT / "src" / "induced_metric"
    expected = files(package, "*.py", "*.html", "*.css", "*.js", "*.csv", "py.typed", "search_spaces.yaml")
    expected |= {f"conf/{name}" for name in files(ROOT / "conf", "*.yaml")}
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {f"induced_metric/{name}" for name in expected}


def test_the_wheel_has_its_license_and_its_command(archives):
    wheel, _ = archives
    facts = [name for name in wheel.namelist() if ".dist-info/" in name]
    texts = {name.partition("/")[2]: wheel.read(name).decode() for name in facts}
    assert "MIT License" in texts["licenses/LICENSE"]
    assert "induced-metric = induced_metric.__main__:main" in texts["entry_points.txt"]


def test_the_source_archive_has_files_in_the_place_of_links_and_no_tests(archives):
    _, names = archives
    assert {"LICENSE", "CHANGELOG.md", "CITATION.cff", "src/induced_metric/conf/sweep.yaml"} <= names
    assert not [name for name in names if name.startswith(("tests", "results", "notebooks"))]


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"].keys() - UNNAMED))
def test_a_missing_library_of_an_extra_is_known_by_its_module(extra):
    modules = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            modules.setdefault(canonicalize_name(owner), []).append(module)
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if own := modules.get(canonicalize_name(requirement.name)):
            assert requirement.name == PROJECT["name"] or extra in map(command_line.extra_of, own), (
                requirement
            )


def imported(path):
    """The libraries that a file names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        yield from (name.partition(".")[0] for name in names)


def test_every_library_that_the_package_imports_is_its_own_or_of_an_extra():
    libraries = {name for path in (ROOT / "src").rglob("*.py") for name in imported(path)}
    libraries -= {PROJECT["name"].replace("-", "_"), *sys.stdlib_module_names}
    own = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert {library for library in libraries if command_line.extra_of(library) is None} == own


def missing(name):
    def run():
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    return run


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("hydra", "experiments"),
        ("torch", "torch"),
        ("psycopg", "cluster"),
    ],
)
def test_a_missing_extra_is_one_sentence(module, extra, monkeypatch, capsys):
    # A module in the place of the command line: what it cannot import, it cannot import.
    fake = type(sys)("induced_metric.cli.commands")
    fake.main = missing(module)
    monkeypatch.setitem(sys.modules, "induced_metric.cli.commands", fake)
    monkeypatch.setattr("induced_metric.cli.commands", fake, raising=False)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"induced-metric: {module} is missing; pip install 'induced-metric[{extra}]' adds it\n"
    )
    fake.main = missing("my_optimizers")  # of nobody's extra: a mistake in somebody's own code
    with pytest.raises(ModuleNotFoundError):
        command_line.main()


@pytest.mark.parametrize("passes", ["None", "type(sys)('torch')"], ids=["nothing", "a directory"])
def test_the_optimizers_for_pytorch_say_that_it_is_missing(passes):
    code = f"import sys; sys.modules['torch'] = {passes}; import induced_metric.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: induced_metric.torch needs PyTorch; pip install 'induced-metric[torch]' adds it"
    )
