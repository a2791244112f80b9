"""A file of an optimizer or a task is refused before anything runs under a name that is not its own."""

import pytest

from induced_metric.cli import chosen, commands, spaces
from induced_metric.errors import UserError

HEADER = "# @package _global_\n"
MINE = f"{HEADER}optimizer:\n  _target_: optax.sgd\n  name: mine\n  learning_rate: 0.1\n"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a file of a directory that is taken for ``conf``."""
    monkeypatch.setattr(chosen, "CONF", tmp_path)

    def write(name, text):
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


@pytest.mark.parametrize(
    "text",
    [
        MINE,
        f"\n{HEADER}# Mine.\n{MINE.removeprefix(HEADER)}",
        MINE.replace("# @package", "#  @package"),
        f"{MINE}defaults: [sgd]\n",
    ],
)
def test_a_file_of_its_own_name_is_taken(written, text):
    written("optimizer/mine", text)
    chosen.check(["optimizer=sgd,mine", "seed=3", "-m"])


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("optimizer/mine", MINE.removeprefix(HEADER), "must begin with the line # @package _global_"),
        ("optimizer/mine", f"# Mine.\n{MINE}", "must begin with the line # @package"),
        (
            "optimizer/mine",
            MINE.replace("  name: mine\n", ""),
            "has no name under optimizer: write name: mine, the name of its file, since its records get",
        ),
        (
            "optimizer/mine",
            MINE.replace("mine", "adamw"),
            "has name: adamw under optimizer: write name: mine",
        ),
        (
            "task/mine",
            f"{HEADER}defaults: [mnist]\ntask:\n  epochs: 3\n",
            "has no name under task: write name: mine",
        ),
        ("task/mine", f"{HEADER}task:\n  name: mnist\n", "has name: mnist under task: write name: mine"),
        ("optimizer/mine", HEADER, "must have a section optimizer: with name: mine in it"),
        ("optimizer/mine", f"{HEADER}- sgd\n", "must have a section optimizer: with name: mine in it"),
        (
            "optimizer/mine",
            f"{HEADER}optimizer:\n  a: 1\n b: 2\n",
            "line 4 is not valid YAML: expected <block end>",
        ),
        # Only at the end is it noticed; there is no line after the last.
        ("optimizer/mine", f"{HEADER}optimizer:\n  a: [1,\n", "line 3 is not valid YAML: "),
    ],
)
def test_another_is_refused_and_named(written, name, text, sentence):
    written(name, text)
    group, _, choice = name.partition("/")
    with pytest.raises(UserError) as error:
        chosen.check(["seed=3", f"{group}=other,{choice}"])
    assert str(error.value).startswith(f"conf/{name}.yaml {sentence}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("sampler/mine", f"{HEADER}sampler:\n  name: tpe\n", "has name: tpe under sampler: write name: mine"),
        ("sampler/mine", "name: tpe\n", "has name: tpe under sampler: write name: mine"),
        ("protocol/mine", f"{HEADER}protocol:\n  name: fair\n", "has name: fair under protocol"),
        ("schedule/mine", "name: [\n", "line 1 is not valid YAML"),
    ],
)
def test_a_file_of_another_group_may_lack_a_name_but_not_have_anothers(written, name, text, sentence):
    written(name, text)
    group, _, choice = name.partition("/")
    with pytest.raises(UserError) as error:
        chosen.check([f"{group}={choice}"])
    assert str(error.value).startswith(f"conf/{name}.yaml {sentence}")
    written(name, "width: 3\n")
    chosen.check([f"{group}={choice}"])


def test_a_storage_of_ones_own_says_of_which_kind_it_is(written):
    written("storage/cluster", "name: postgresql\ngrace: 60\n")
    chosen.check(["storage=cluster"])


def test_what_is_no_text_is_said_to_be_none(written, tmp_path):
    written("optimizer/mine", MINE)
    for content in ("# ü\n".encode("latin-1"), b"a: \x01\n"):
        (tmp_path / "optimizer" / "mine.yaml").write_bytes(content)
        with pytest.raises(UserError, match=r"conf/optimizer/mine\.yaml is not YAML in UTF-8"):
            chosen.check(["optimizer=mine"])
    (tmp_path / "optimizer" / "mine.yaml").write_text("3\n")
    with pytest.raises(UserError, match=r"conf/optimizer/mine\.yaml cannot be read"):
        chosen.check(["optimizer=mine"])


def test_its_file_of_a_protocol_must_have_the_header_too(written):
    written("optimizer/mine", MINE)
    written("protocol/optimizer/fair_mine", "search_space:\n  b1: ${search_space.beta1}\n")
    with pytest.raises(UserError, match=r"^conf/protocol/optimizer/fair_mine\.yaml must begin with the"):
        chosen.check(["optimizer=mine"])


@pytest.mark.parametrize("script", ["train.py", "sweeps/sweep.py"])
def test_it_is_refused_before_hydra_composes_anything(written, here, script):
    written("optimizer/adam", MINE)
    done = here(script, "optimizer=adam")
    assert done.returncode == 2
    assert "conf/optimizer/adam.yaml has name: mine under optimizer: write name: adam" in done.stderr


def test_so_it_is_by_the_commands_that_hydra_does_not_configure(written, capsys):
    written("optimizer/adam", MINE)
    with pytest.raises(SystemExit):
        commands.main(["costs", "--task", "regression", "--optimizers", "adam"])
    assert "conf/optimizer/adam.yaml has name: mine under optimizer" in capsys.readouterr().err


def test_a_broken_file_that_nobody_chose_stops_no_study_or_is_named(written, tmp_path, monkeypatch):
    monkeypatch.setattr(spaces, "CONF", tmp_path)
    written("task/regression", "search_space:\n  xi: {low: 1, high: 2}\n")
    written("optimizer/mine", MINE.replace("learning_rate", "xi"))
    written("optimizer/empty", "")
    assert spaces._shared("regression", "paper") == {"xi"}
    written("optimizer/broken", "optimizer:\n  a: 1\n b: 2\n")
    with pytest.raises(UserError, match=r"conf/optimizer/broken.yaml line 3 is not valid YAML"):
        spaces._shared("regression", "paper")
