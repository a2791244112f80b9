"""The interactive page: one HTML file that needs no network, made from the recorded runs of the gallery."""

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from induced_metric.analysis.landscapes import success
from induced_metric.analysis.style import colour, label, ordered, plain, point, title

_MOMENTA = ("momentum", "beta1", "adam_b1")
RANGES = {
    "value": (-20.0, 20.0),
    "scale": (-16.0, 8.0),
    "major": (-16.0, 16.0),
    "minor": (-16.0, 16.0),
    "angle": (-np.pi, np.pi),
}
"""The ranges that are stored in 16 bits: decades of f above its minimum, of r and of the half-axes of the
ellipse; radians for the angle."""
_PARTS = {"/*STYLE*/": "page.css", "/*DRAWING*/": "drawing.js", "/*SCRIPT*/": "page.js"}
_MARGIN = 1.0  # how far a path may leave the picture on each side, in widths of it, before it is clipped


def write(records: Path, path: Path, fair: pd.DataFrame | None = None) -> Path:
    """Writes the page from the tables ``page_*.parquet`` of ``records``.

    Args:
        records: the directory of the tables.
        path: where to write the page.
        fair: ``success.summary`` of the fair study, if there is one.
    """
    runs, points, surfaces, minima = (
        pd.read_parquet(records / f"page_{name}.parquet") for name in ("runs", "points", "surfaces", "minima")
    )
    data = json.dumps(page_data(runs, points, surfaces, minima, fair), separators=(",", ":"))
    path.write_text(template().replace("/*DATA*/null", data), encoding="utf-8")
    return path


def template() -> str:
    """The page without its data: the markup, with the style and the scripts inserted."""
    folder = resources.files(__package__)
    page = folder.joinpath("page.html").read_text(encoding="utf-8")
    for place, name in _PARTS.items():
        page = page.replace(place, folder.joinpath(name).read_text(encoding="utf-8"))
    return page


def page_data(
    runs: pd.DataFrame,
    points: pd.DataFrame,
    surfaces: pd.DataFrame,
    minima: pd.DataFrame,
    fair: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """The data of the page: functions with their surfaces, runs, and the points of all runs, as columns.

    ``fresh`` has the success from fresh starts with its interval, by function and optimiser.
    """
    functions = []
    for name, surface in surfaces.groupby("function", sort=False):
        own_minima = minima[minima["function"] == name]
        functions.append(
            {
                "name": name,
                "title": title(str(name)),
                "x": [float(surface["x"].min()), float(surface["x"].max())],
                "y": [float(surface["y"].min()), float(surface["y"].max())],
                "size": int(surface["x"].nunique()),
                "minimum": float(own_minima["minimum"].iloc[0]),
                "minima": own_minima[["x", "y"]].to_numpy().tolist(),
                "values": _base64(surface.sort_values(["y", "x"])["value"].to_numpy(np.float32)),
            }
        )
    points = points.merge(runs[["run", "function", *({"xi"} & set(runs))]], on="run")
    points = points.sort_values(["run", "iteration"])
    runs = runs.assign(optimizer=success.label(runs))
    optimizers = ordered(runs["optimizer"])
    return {
        "functions": functions,
        "optimizers": [
            {
                "name": name,
                "label": label(name),
                "colour": colour(name),
                "marker": point(name),
                "control": name != plain(name),
            }
            for name in optimizers
        ],
        "runs": _runs(runs, points["run"].value_counts().sort_index().cumsum()),
        "fresh": {} if fair is None else _fresh(fair),
        "margin": _MARGIN,
        "ranges": {key: list(span) for key, span in RANGES.items()},
        "points": {
            "iteration": _base64(points["iteration"].to_numpy(np.uint16)),
            **{key: _base64(column) for key, column in _columns(points, functions).items()},
        },
    }


def _fresh(fair: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    tuned = fair[(fair["arm"] == "tuned") & (fair["tolerance"] == "notebook")]
    measures = ["success", "success_low", "success_high"]
    return {
        str(function): {
            str(row["optimizer"]): [round(row[name], 3) for name in measures] for _, row in rows.iterrows()
        }
        for function, rows in tuned.groupby("function", sort=False)
    }


def _runs(runs: pd.DataFrame, ends: pd.Series) -> list[dict[str, Any]]:
    momenta = [name for name in _MOMENTA if name in runs]
    rows, begin = [], 0
    for row in runs.sort_values("run").to_dict("records"):
        end = int(ends[row["run"]])
        rows.append(
            {
                "f": row["function"],
                "o": row["optimizer"],
                "s": [round(row["start_x"], 3), round(row["start_y"], 3)],
                "lr": row["learning_rate"],
                "m": next(row[name] for name in momenta if not pd.isna(row[name])),
                "xi": None if pd.isna(row.get("xi", np.nan)) else row["xi"],
                "c": bool(row["converged"]),
                "n": int(row["iterations"]),
                "at": [begin, end],
            }
        )
        begin = end
    return rows


def _columns(points: pd.DataFrame, functions: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    by_name = {function["name"]: function for function in functions}
    columns = {}
    for axis in ("x", "y"):
        low, high = (points["function"].map({k: v[axis][end] for k, v in by_name.items()}) for end in (0, 1))
        share = (points[axis] - low) / (high - low)
        columns[axis] = _sixteen_bits(share.to_numpy(float), -_MARGIN, 1 + _MARGIN)
    excess = points["value"] - points["function"].map({k: v["minimum"] for k, v in by_name.items()})
    ellipse = ellipses(points)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = {
            "value": np.log10(excess.to_numpy(float).clip(0)),
            "scale": np.log10(points["scale"].to_numpy(float)),
            "major": np.log10(ellipse["major"]),
            "minor": np.log10(ellipse["minor"]),
            "angle": ellipse["angle"],
        }
    return columns | {key: _sixteen_bits(values, *RANGES[key]) for key, values in logarithms.items()}


def ellipses(points: pd.DataFrame) -> dict[str, np.ndarray]:
    r"""Half-axes and direction of :math:`\{d : d^T g\, d = 1\}` for the pulled-back metric g at each point.

    .. math:: g_{ij} = \gamma_{ij} + \xi f'^2\, l_i l_j

    An optimiser without ξ has the metric γ alone. NaN where γ is unknown.
    """
    xi = points["xi"].fillna(0.0).to_numpy(float) if "xi" in points else np.zeros(len(points))
    with np.errstate(over="ignore", invalid="ignore"):
        gradient = points[["gradient_x", "gradient_y"]].to_numpy(float)
        slope = points["slope"].to_numpy(float)
        metric = (xi * slope**2)[:, None, None] * gradient[:, :, None] * gradient[:, None, :]
        metric[:, [0, 1], [0, 1]] += points[["gamma_x", "gamma_y"]].to_numpy(float)
    finite = np.isfinite(metric).all(axis=(1, 2))
    eigenvalues, vectors = np.linalg.eigh(np.where(finite[:, None, None], metric, np.eye(2)))
    eigenvalues = np.where(finite[:, None] & (eigenvalues > 0), eigenvalues, np.nan)
    return {
        "major": eigenvalues[:, 0] ** -0.5,
        "minor": eigenvalues[:, 1] ** -0.5,
        "angle": np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]),
    }


def _sixteen_bits(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scales the values from ``low`` to ``high`` to 0 to 65534, clipped at the ends; NaN becomes 65535."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.where(np.isnan(share), 65535, np.round(np.nan_to_num(share) * 65534)).astype(np.uint16)


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(
        np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
    ).decode()
