"""Composes the configuration of a sweep for commands that Hydra does not configure."""

from collections.abc import Sequence

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig

from induced_metric.cli import chosen
from induced_metric.cli.values import CONF
from induced_metric.errors import UserError


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration that ``induced-metric sweep`` would run with these overrides.

    Raises:
        UserError: if a chosen task, optimiser or other option does not exist, or its file is wrong.
    """
    chosen.check(overrides)
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("sweep", list(overrides))
    except MissingConfigException as error:
        raise UserError(chosen.unknown(error)) from error
    except HydraException as error:
        raise UserError(str(error).splitlines()[0]) from error
