"""Studies that an earlier version began go on: their configuration, records and journal."""

import json
import shutil
import tarfile
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

from induced_metric.cli import build, sweep, values
from induced_metric.errors import UserError
from induced_metric.lanes.placement import Placement
from induced_metric.records import CONFIRMED, WITHOUT, RecordStore, removed
from induced_metric.studies.compatibility import check_config, check_program, study_config
from induced_metric.studies.journal import JournalStorage
from induced_metric.studies.running import run_studies
from induced_metric.studies.storage import StudyFiles
from induced_metric.studies.winners import _of_the_pairing
from induced_metric.training.checkpoints import Checkpoints

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted((ROOT / "results" / "published" / "records").rglob("trials.parquet"))


def compose(*overrides, config="sweep"):
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        return hydra.compose(config, list(overrides))


def test_there_are_published_studies():
    assert len(PUBLISHED) > 20


def repeats(path):
    """Whether another study stands for this one: of its task and sampler, or of its optimizer."""
    _, task, sampler, optimizer = path.parts[-5:-1]
    if "-seed" in sampler:
        return True
    return optimizer not in ("sgd_rms", "sgd_metric") and (task, sampler) != ("regression", "tpe")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.exhaustive] * repeats(path)) for path in PUBLISHED],
    ids=["-".join(path.parts[-5:-1]) for path in PUBLISHED],
)
def test_todays_configuration_goes_on_with_a_published_study(path):
    protocol, task, label, optimizer = path.parts[-5:-1]
    again = label.removesuffix(f"{WITHOUT}{removed(label)}")
    search, _, pruner = again.removesuffix(CONFIRMED).partition("+")
    sampler, _, seed = search.partition("-seed")
    cfg = compose(
        f"task={task}", f"optimizer={optimizer}", f"sampler={sampler}", f"pruner={pruner or 'none'}",
        f"protocol={protocol}",
    )  # fmt: skip
    now = study_config(OmegaConf.to_container(cfg, resolve=True)) | {"seed": int(seed or 0)}
    for text in RecordStore(path.parent).trials()["config"].unique():
        known = json.loads(text)
        if again.endswith(CONFIRMED):  # what it has in common with the search whose winner it confirms
            known, now = _of_the_pairing(known), _of_the_pairing(now)
        check_config("study", known, now)


def test_another_search_algorithm_at_the_new_place_is_still_another():
    before = {"sampler": {"create": {"_target_": "induced_metric.wandb_search.WandbBayesSampler"}}}
    moved = {"sampler": {"create": {"_target_": "induced_metric.studies.wandb_search.WandbBayesSampler"}}}
    other = {"sampler": {"create": {"_target_": "induced_metric.studies.wandb_search.Another"}}}
    check_config("study", before, moved)
    with pytest.raises(UserError, match=r"WandbBayesSampler -> .*Another"):
        check_config("study", before, other)


def test_an_older_confirmation_was_without_nothing():
    before = {"sampler": {"name": "confirmed"}}
    check_config("study", before, {"sampler": {"name": "confirmed", "without": None}})
    with pytest.raises(UserError, match=r"\(sampler.without: absent -> xi\)"):
        check_config("study", before, {"sampler": {"name": "confirmed", "without": "xi"}})


@pytest.mark.parametrize(
    ("recorded", "now", "refused"),
    [
        ([{"program": "a"}], {"program": "a"}, False),
        ([{"program": "b", "commit": "c" * 40}], {"program": "a"}, True),
        ([{"program": "b", "commit": "c" * 40, "dirty": True}], {"program": "a"}, True),
        ([], {"program": "a"}, False),
        ([{}], {"program": "a"}, False),  # of a version that did not record it
        ([{"program": "b"}], {}, False),
        # Another version may trace the same code in another way; the newest record of this one decides.
        ([{"program": "b", "versions": {"jax": "1"}}], {"program": "a", "versions": {"jax": "2"}}, False),
        ([{"program": "b", "device": "gpu"}, {"program": "a"}], {"program": "a"}, False),
        ([{"program": "b", "device": "gpu"}, {"program": "b"}], {"program": "a"}, True),
    ],
)
def test_a_study_goes_on_only_with_the_program_of_its_records(recorded, now, refused):
    if not refused:
        return check_program("study", recorded, now)
    with pytest.raises(UserError, match=r"^study was begun with other code.*, or ") as error:
        check_program("study", recorded, now)
    newest = recorded[0]
    if "commit" in newest:
        changed = ", with uncommitted changes" if newest.get("dirty") else ""
        assert f"other code (commit ccccccc{changed}): " in str(error.value)


def test_of_another_winner_a_confirmation_says_what_to_do():
    before = {"seed": 0, "source": {"sampler": "tpe", "trial": 2, "value": 0.5}}
    now = {"seed": 0, "source": {"sampler": "tpe", "trial": 9, "value": 0.25}}
    with pytest.raises(UserError) as error:
        check_config("study", before, now)
    assert str(error.value) == (
        "study confirms trial 2 of a search whose winner is now trial 9: give the search as many trials as "
        "it had then (TRIALS=, or trials= and sampler.searched=), or use another results directory"
    )
    with pytest.raises(UserError, match=r"\(seed: 0 -> 1; source.trial: 2 -> 9; source.value: 0.5 -> 0.25\)"):
        check_config("study", before, {**now, "seed": 1})
    with pytest.raises(UserError, match=r"\(source.value: 0.5 -> 0.25\)"):
        check_config("study", before, {"seed": 0, "source": {**before["source"], "value": 0.25}})


def test_a_setting_under_an_older_name_is_the_one_of_today():
    before = {"task": {"evaluated": ["validation"], "width": 32}}
    check_config("study", before, {"task": {"eval_splits": ["validation"], "embed_dim": 32}})
    with pytest.raises(UserError, match=r"\(task.embed_dim: 32 -> 64\)"):
        check_config("study", before, {"task": {"eval_splits": ["validation"], "embed_dim": 64}})


def test_mixed_precision_is_that_of_today():
    for before, now in ((None, "float32"), ("bfloat16", "bfloat16")):
        check_config("study", {"task": {"compute_dtype": before}}, {"task": {"precision": now}})
    with pytest.raises(UserError, match=r"\(task.precision: float32 -> bfloat16\)"):
        check_config("study", {"task": {"compute_dtype": None}}, {"task": {"precision": "bfloat16"}})


def test_a_study_without_a_precision_was_in_float32():
    check_config("study", {"task": {"name": "toy"}}, {"task": {"name": "toy", "precision": "float32"}})
    with pytest.raises(UserError, match=r"\(task.precision: absent -> tf32\)"):
        check_config("study", {"task": {"name": "toy"}}, {"task": {"name": "toy", "precision": "tf32"}})


def test_a_study_is_made_by_the_precision_of_its_task_and_goes_on_deterministic_or_not():
    config = OmegaConf.to_container(compose("task=regression", "precision=tf32"), resolve=True)
    kept = study_config(config)
    assert kept["task"]["precision"] == "tf32"
    assert not {"precision", "deterministic"} & kept.keys()


def test_a_task_may_have_a_setting_that_is_called_like_an_older_one():
    check_config("study", {"task": {"width": 32}}, {"task": {"width": 32}})
    with pytest.raises(UserError, match=r"\(task.embed_dim: absent -> 32; task.width: 32 -> 64\)"):
        check_config("study", {"task": {"width": 32}}, {"task": {"width": 64, "embed_dim": 32}})


def test_a_study_that_searched_a_setting_under_an_older_name_is_refused():
    """Its records have the column of the older name, and the search another."""
    spaces = [{"search_space": {"task": {name: {"choices": [8, 16]}}}} for name in ("width", "embed_dim")]
    with pytest.raises(UserError, match=r"search_space.task.embed_dim.choices: absent -> \[8, 16\]"):
        check_config("study", *spaces)


def test_a_study_begun_before_the_packages_goes_on_from_its_records(tmp_path):
    """Begun by 6873fcc: 8 of 12 trials recorded, 4 under way, which begin anew: orbax saved them."""
    with tarfile.open(Path(__file__).parent / "data" / "begun_before_packages.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    cfg = compose(
        "task=regression", "task.epochs=400", "optimizer=sgd_rms", "sampler=wandb_bayes", "trials=12"
    )
    pair = build.pairing(cfg)
    plan = sweep.plan_of(cfg, pair, 0)
    files = StudyFiles(
        storage=JournalStorage(tmp_path / "studies/paper/regression/wandb_bayes/sgd_rms.journal"),
        records=RecordStore(plan.key.directory(tmp_path)),
        checkpoints=Checkpoints(tmp_path / "checkpoints/paper/regression/wandb_bayes/sgd_rms"),
    )
    before = files.records.read()
    assert sorted(before.trials["trial"]) == list(range(8))

    with (
        pytest.warns(UserWarning, match="has a checkpoint in the format of an earlier version") as warned,
        pair.lanes(Placement()) as lanes,
    ):
        run_studies([(plan, files, lambda _: None)], lanes)
    assert len(warned) == 1

    after = files.records.read()
    assert list(after.trials["trial"]) == list(range(12))
    assert (after.trials["epochs"] == 400).all()
    shared = before.trials.columns.drop(["config", "provenance"])
    assert after.trials[after.trials["trial"] < 8][shared].equals(before.trials[shared])
    assert not list((tmp_path / "checkpoints").rglob("_METADATA"))  # removed with their trials
    shutil.rmtree(tmp_path / "records")
    with (
        pytest.raises(UserError, match="holds 12 finished trials"),
        pair.lanes(Placement()) as lanes,
    ):
        run_studies([(plan, files, lambda _: None)], lanes)
