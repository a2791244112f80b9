"""What the figures of the landscapes share: colours, names and how they are saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision.
_COLOURS = ("#0072B2", "#000000", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#56B4E9")
_ORDER = ("adam", "sgd", "sgd_metric", "sgd_log_metric", "sgd_rms", "muon")
_STYLE = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "figure.titlesize": 12,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "pdf.fonttype": 42,  # text stays text
    "savefig.dpi": 160,
    "image.cmap": "viridis",
}


@contextmanager
def style() -> Iterator[None]:
    """From matplotlib's own defaults: a user's matplotlibrc must not change a published figure."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def ordered(optimizers: object) -> list[str]:
    """Optimizers in the order of their colours and legends; unknown ones follow by name."""
    names = {str(name) for name in optimizers}  # type: ignore[attr-defined]
    return [name for name in _ORDER if name in names] + sorted(names - set(_ORDER))


def colour(optimizer: str) -> str:
    """An optimizer's colour, the same in every figure; the last is for any that is not of the paper."""
    return _COLOURS[_ORDER.index(optimizer)] if optimizer in _ORDER else _COLOURS[-1]


def title(function: str) -> str:
    """``three_hump_camel`` as ``Three Hump Camel``."""
    return function.replace("_", " ").title()


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes PDF and PNG; without dates, so that the same figure is the same file."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_suffix(".pdf"), stem.with_suffix(".png")]
    with style():
        figure.savefig(paths[0], bbox_inches="tight", metadata={"CreationDate": None})
        figure.savefig(paths[1], bbox_inches="tight")
    return paths
