"""Runs the functions of two variables: the published grid, the timing, the fair study, figures and the page.

python sweeps/landscapes.py steps=[grid,timing]
"""

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from induced_metric.cli import app, values
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.landscapes import (
        Candidate,
        FairSettings,
        GridSettings,
        Landscape,
        PageSettings,
        TimingSettings,
    )

STEPS = ("grid", "timing", "fair", "page")


def main() -> None:
    """Runs the entry point."""
    app.run(run, "landscapes")


class Studies(NamedTuple):
    """The studies that a configuration asks for."""

    functions: "dict[str, Landscape]"
    published: "dict[str, Landscape]"  # those of the functions that the paper has
    candidates: "list[Candidate]"
    grid: "GridSettings"
    timing: "TimingSettings"
    fair: "FairSettings"
    page: "PageSettings"


def run(cfg: DictConfig) -> None:
    """Runs the steps asked for, then writes every table and figure whose records exist."""
    begun = time.perf_counter()
    flags = app.start_jax(cfg)  # before anything imports JAX
    asked = studies(cfg)
    import jax
    import pyarrow as pa

    # Only here: the published runs are in double precision, and 1e-10 is out of single precision's reach.
    jax.config.update("jax_enable_x64", True)
    # A step is a handful of scalar operations: launching them on an accelerator takes longer than they do.
    jax.config.update("jax_platforms", "cpu")
    devices = jax.devices("cpu")
    print(app.device(), flush=True)

    from induced_metric.analysis.landscapes import comparison, report
    from induced_metric.landscapes import measure, run_fair, run_gallery, run_grid
    from induced_metric.lanes.facts import device_facts
    from induced_metric.records import provenance
    from induced_metric.records.parquet import write_table

    results = app.results(cfg)
    config = {name: value for name, value in values.plain(cfg).items() if name != "results"}
    facts = provenance(**device_facts(), xla_flags=flags, config=config)

    def done(step: str, tables: dict[str, Any]) -> None:
        for name, frame in tables.items():
            path = results / "landscapes" / f"{name}.parquet"
            path.parent.mkdir(exist_ok=True)
            table = pa.Table.from_pandas(frame, preserve_index=False)
            write_table(table, path, compression_level=9, provenance=facts)
        print(f"{step}: {time.perf_counter() - begun:.1f} s since the start", flush=True)

    if "grid" in cfg.steps:
        grid = run_grid(
            asked.published, asked.candidates, asked.grid, select=comparison.best, devices=devices
        )
        seconds = f"device {grid.run_seconds:.1f} s, compilation {grid.compile_seconds:.1f} s"
        done(f"grid ({seconds})", {"grid": grid.runs, "nudged": grid.nudged, "paths": grid.paths})
    if "timing" in cfg.steps:
        done(
            "timing", {"timing": measure(asked.published, asked.candidates, asked.timing, device=devices[0])}
        )
    if "fair" in cfg.steps:
        study = run_fair(asked.functions, asked.candidates, asked.fair, devices=devices)
        done("fair study", {f"fair_{name}": table for name, table in study._asdict().items()})
    if "page" in cfg.steps:
        gallery = run_gallery(asked.functions, asked.candidates, asked.page, devices=devices)
        done("runs of the page", {f"page_{name}": table for name, table in gallery._asdict().items()})
    for path in report.write(results):
        print(f"wrote {path}")
    print(f"{time.perf_counter() - begun:.1f} s in total")


def studies(cfg: DictConfig) -> Studies:
    """Checks a configuration and returns the studies that it asks for.

    Raises:
        UserError: for a value of the wrong type or out of range, or an unknown name.
    """
    from induced_metric import landscapes as room

    config = values.plain(cfg)
    _check_among("steps", config["steps"], STEPS)
    names = list(room.LANDSCAPES) if config["functions"] is None else config["functions"]
    _check_among("functions", names, room.LANDSCAPES)
    if not names:
        raise UserError(f"functions must be among {', '.join(room.LANDSCAPES)}, got none")
    functions = {name: room.LANDSCAPES[name] for name in names}
    published = {name: function for name, function in functions.items() if function.published}
    if not published and {"grid", "timing"} & set(config["steps"]):
        raise UserError("functions must have one of the paper's five if steps has grid or timing")
    return Studies(
        functions=functions,
        published=published,
        candidates=candidates(config["optimizers"]),
        grid=values.settings(room.GridSettings, config["grid"], "grid"),
        timing=values.settings(room.TimingSettings, config["timing"], "timing"),
        fair=values.settings(room.FairSettings, config["fair"], "fair"),
        page=values.settings(room.PageSettings, config["page"], "page"),
    )


def candidates(optimizers: dict[str, Any]) -> "list[Candidate]":
    """The optimisers of ``conf/landscapes.yaml``, with the defaults from ``conf/optimizer``."""
    from induced_metric.landscapes import Candidate

    paths = {path.stem: path for path in (values.CONF / "optimizer").glob("*.yaml")}
    _check_among("optimizers", optimizers, sorted(paths))
    result = []
    for name, settings in optimizers.items():
        default = values.plain(OmegaConf.load(paths[name]).optimizer)
        factory = values.target(default, f"optimizers.{name}")
        default.pop("name")
        fields = {"name": name, "optimizer": factory, "default": default, **settings}
        result.append(values.settings(Candidate, fields, f"optimizers.{name}"))
    return result


def _check_among(where: str, names: Any, allowed: Any) -> None:
    if isinstance(names, str):
        raise UserError(f"{where} must be a list: write {where}=[{names}]")
    if not isinstance(names, list | dict):
        raise UserError(f"{where} must be a list of names, got {names!r}")
    if unknown := [name for name in names if name not in allowed]:
        raise UserError(f"{where} must be among {', '.join(allowed)}, got {unknown[0]!r}")
