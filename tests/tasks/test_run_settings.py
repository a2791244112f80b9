"""The settings of a run: the same for every task, each said once, in its YAML."""

import inspect
from typing import get_type_hints

import configured
import pytest
import yaml

from induced_metric.tasks.base import RunSettings, Task

RUN = get_type_hints(RunSettings)
TASKS = sorted(path.stem for path in (configured.CONF / "task").glob("*.yaml"))
WHOLE = [  # not the presets, which change another task's numbers
    path.stem
    for path in sorted((configured.CONF / "task").glob("*.yaml"))
    if "_target_" in yaml.safe_load(path.read_text())["task"]
]


def test_a_task_has_each_of_them_with_its_type():
    fields = get_type_hints(Task)
    assert {name: fields[name] for name in RUN} == RUN


@pytest.mark.parametrize("name", TASKS)
def test_the_configuration_has_each_of_them(name):
    _, settings = configured.settings(name)
    assert settings.keys() >= RUN.keys()


@pytest.mark.parametrize("name", WHOLE)
def test_a_builder_has_no_default_that_its_configuration_repeats(name):
    build, settings = configured.settings(name)
    own = {
        argument.name: argument.default
        for argument in inspect.signature(build).parameters.values()
        if argument.kind is not argument.VAR_KEYWORD
    }
    assert set(own.values()) == {inspect.Parameter.empty}
    assert own.keys() == settings.keys() - RUN.keys()


@pytest.mark.parametrize("setting", RUN)
@pytest.mark.parametrize("name", WHOLE)
def test_a_missing_one_is_named(tiny_settings, name, setting):
    build, settings = tiny_settings(name)
    del settings[setting]
    with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{setting}'"):
        build(**settings)


@pytest.mark.parametrize("name", WHOLE)
def test_one_that_does_not_exist_is_named(tiny_settings, name):
    build, settings = tiny_settings(name)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        build(**settings, epoch=1)


@pytest.mark.parametrize("name", WHOLE)
def test_every_task_takes_auto_for_a_micro_batch(build, name):
    assert 16 % build(name, batch_size=16, micro_batch="auto").examples_at_once == 0
