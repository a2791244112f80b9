"""The functions of two variables: the published grid, honest timing, the fair study, figures and the page.

python sweeps/landscapes.py steps=[grid,timing]
"""

import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from induced_metric.cli import app, values
from induced_metric.errors import UserError

STEPS = ("grid", "timing", "fair", "page")


def main() -> None:
    """Runs the entry point."""
    app.run(run, "landscapes")


def run(cfg: DictConfig) -> None:
    """Runs the steps asked for, then writes every table and figure whose records exist."""
    steps = list(cfg.steps)
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise UserError(f"steps must be among {', '.join(STEPS)}, got {unknown[0]!r}")
    iterations = values.integer(cfg, "iterations", low=1, high=10**6)
    begun = time.perf_counter()
    flags = app.start_jax(cfg)  # before anything imports JAX
    import jax

    # Only here: the published runs are in double precision, and 1e-10 is out of single precision's reach.
    jax.config.update("jax_enable_x64", True)
    # A step is a handful of scalar operations: launching them on an accelerator takes longer than they do.
    jax.config.update("jax_platforms", "cpu")
    devices = jax.devices("cpu")

    from induced_metric.analysis.landscapes import comparison as analysis
    from induced_metric.analysis.landscapes import report
    from induced_metric.landscapes import LANDSCAPES, tables
    from induced_metric.landscapes.fair import Plan, run_fair
    from induced_metric.landscapes.gallery import run_gallery
    from induced_metric.landscapes.grid import run_grid
    from induced_metric.landscapes.timing import measure
    from induced_metric.lanes.placement import device_facts
    from induced_metric.records import provenance

    records = app.results(cfg) / "landscapes"
    contenders = contenders_of(cfg)
    wanted = list(LANDSCAPES) if cfg.functions is None else list(cfg.functions)
    unknown = [name for name in wanted if name not in LANDSCAPES]
    if unknown or not wanted:
        raise UserError(f"functions must be among {', '.join(LANDSCAPES)}, got {cfg.functions}")
    landscapes = {name: LANDSCAPES[name] for name in wanted}
    published = {name: landscape for name, landscape in landscapes.items() if landscape.published}
    if not published and {"grid", "timing"} & set(steps):
        raise UserError("functions must have one of the paper's five where steps has grid or timing")
    controlled = set(cfg.fair.offset_optimizers)
    offsets = {c.name: (0.0, cfg.fair.offset) if c.name in controlled else (0.0,) for c in contenders}
    settings = {key: value for key, value in _plain(cfg).items() if key != "results"}
    facts = provenance(**device_facts(), xla_flags=flags, config=settings)

    if "grid" in steps:
        grid = run_grid(
            published,
            contenders,
            tolerances=dict(cfg.tolerances),
            iterations=iterations,
            nudges=list(cfg.grid.nudges),
            select=analysis.best,
            devices=devices,
            tile=values.integer(cfg, "grid.tile", low=1, high=10**4),
        )
        tables.write(grid.runs, records / "grid.parquet", facts)
        tables.write(grid.nudged, records / "nudged.parquet", facts)
        tables.write(grid.paths, records / "paths.parquet", facts)
        number = len(grid.runs) // (1 + len(cfg.tolerances))
        print(
            f"grid: {number} runs, {time.perf_counter() - begun:.1f} s since the start;"
            f" device {grid.run_seconds:.1f} s with {len(cfg.grid.nudges)} repeats,"
            f" compilation {grid.compile_seconds:.1f} s",
            flush=True,
        )
    if "timing" in steps:
        timing = measure(
            published,
            contenders,
            compiled=values.integer(cfg, "timing.compiled", low=1, high=10**6),
            stepped=values.integer(cfg, "timing.stepped", low=1, high=10**6),
            eager=values.integer(cfg, "timing.eager", low=1, high=10**6),
            rounds=values.integer(cfg, "timing.rounds", low=2, high=10**6),
            device=devices[0],
        )
        tables.write(timing, records / "timing.parquet", facts)
        print(f"timing: {time.perf_counter() - begun:.1f} s since the start", flush=True)
    if "fair" in steps:
        study = run_fair(
            landscapes,
            contenders,
            tolerances=dict(cfg.tolerances),
            plan=Plan(
                settings=values.integer(cfg, "fair.settings", low=1, high=10**4),
                selection_starts=values.integer(cfg, "fair.selection_starts", low=1, high=10**5),
                curve_starts=values.integer(cfg, "fair.curve_starts", low=1, high=10**5),
                report_starts=values.integer(cfg, "fair.report_starts", low=1, high=10**6),
                iterations=iterations,
                seed=values.seed(cfg),
                tile=values.integer(cfg, "fair.tile", low=1, high=10**4),
                tiles=values.integer(cfg, "fair.tiles", low=1, high=10**4),
            ),
            offsets=offsets,
            devices=devices,
        )
        tables.write(study.settings, records / "fair_settings.parquet", facts)
        tables.write(study.runs, records / "fair_runs.parquet", facts)
        tables.write(study.chosen, records / "fair_chosen.parquet", facts)
        print(f"fair study: {time.perf_counter() - begun:.1f} s since the start", flush=True)
    if "page" in steps:
        gallery = run_gallery(
            landscapes,
            contenders,
            choices={key: list(values) for key, values in cfg.page.choices.items()},
            offsets=offsets,
            starts=values.integer(cfg, "page.starts", low=1, high=100),
            points=values.integer(cfg, "page.points", low=2, high=10**5),
            resolution=values.integer(cfg, "page.resolution", low=2, high=1000),
            iterations=values.integer(cfg, "page.iterations", low=1, high=10**6),
            seed=values.seed(cfg),
            devices=devices,
        )
        for name, table in gallery._asdict().items():
            tables.write(table, records / f"page_{name}.parquet", facts)
        print(f"runs of the page: {time.perf_counter() - begun:.1f} s since the start", flush=True)
    for path in report.write(Path(cfg.results)):
        print(f"wrote {path}")
    print(f"{time.perf_counter() - begun:.1f} s in all")


def contenders_of(cfg: DictConfig) -> list[Any]:
    """The optimizers of ``conf/landscapes.yaml`` with the defaults of ``conf/optimizer``."""
    from induced_metric.landscapes.candidates import Contender, Interval

    found = []
    for name, settings in cfg.optimizers.items():
        path = values.CONF / "optimizer" / f"{name}.yaml"
        if not path.exists():
            allowed = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml")))
            raise UserError(f"optimizers must be among {allowed}, got {name!r}")
        default = _plain(OmegaConf.load(path).optimizer)
        factory = values.target(default, f"optimizers.{name}")
        del default["name"]
        plain = _plain(settings)
        contender = Contender(
            name=str(name),
            optimizer=factory,
            default=default,
            fixed=plain["fixed"],
            grid=plain["grid"],
            search={key: Interval(**interval) for key, interval in plain["search"].items()},
            momentum=plain["momentum"],
        )
        unknown = [key for key in {**contender.grid, **contender.search} if key not in default]
        if unknown:
            raise UserError(f"optimizers.{name} has no hyperparameter {unknown[0]!r}")
        found.append(contender)
    return found


def _plain(node: Any) -> dict[str, Any]:
    return dict(OmegaConf.to_container(node, resolve=True))  # type: ignore[arg-type]
