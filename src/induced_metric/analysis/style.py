"""What all tables, figures and the page share: place, label, colour, marker and line of each optimiser.

All of these follow from an optimiser's name, so leaving one optimiser out does not change how others look.
A *control* is an optimiser with a suffix after a comma, such as ``sgd_log_metric, f + 1``.
"""

import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter
from PIL import Image

# In the published order. Okabe and Ito's colours, which can be distinguished with any colour vision, without
# yellow, which vanishes on paper. Relatives have similar colours: both Adams are blue, the Euclidean metrics
# are orange.
_KNOWN = {
    "adam": ("#0072B2", "o"),
    "adamw": ("#56B4E9", "s"),
    "muon": ("#009E73", "^"),
    "sgd": ("#000000", "D"),
    "sgd_metric": ("#E69F00", "v"),
    "sgd_log_metric": ("#D55E00", "P"),
    "sgd_rms": ("#CC79A7", "X"),
}
# For any other optimiser, by a hash of its name: dark or muted, and each distinct from all colours above.
_OTHER_COLOURS = (
    "#332288",  # indigo
    "#882255",  # wine
    "#7F6000",  # ochre
    "#666666",  # grey
    "#8A8AE0",  # lavender
    "#8F9E3C",  # moss
    "#7B4FB5",  # violet
    "#B07A5A",  # clay
    "#1F5A5E",  # petrol
    "#C23B6B",  # crimson
)
_OTHER_MARKERS = ("<", ">", "p", "h", "*", "d")
_OTHER_LINES = ("--", ":", "-.")
COLUMN, PAGE = 3.25, 6.75
"""Widths in inches that journals give a figure: one column, and both. The font sizes below suit these."""
_STYLE = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "axes.labelsize": 8.5,
    "figure.titlesize": 9,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.columnspacing": 1.4,
    "legend.handlelength": 1.8,
    "figure.labelsize": 8.5,
    "legend.title_fontsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "pdf.fonttype": 42,  # text stays text
    "savefig.dpi": 150,
    "image.cmap": "viridis",
}


@contextmanager
def style() -> Iterator[None]:
    """Starts from matplotlib's own defaults: a user's matplotlibrc must not change a published figure."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def ordered(optimizers: Iterable[object]) -> list[str]:
    """Optimisers in the order of legends and panels: the published order, then any others by name.

    A control directly follows its optimiser.
    """
    names = sorted({str(name) for name in optimizers})
    place = {name: number for number, name in enumerate(_KNOWN)}
    return sorted(names, key=lambda name: place.get(plain(name), len(place)))


def ranks(optimizers: pd.Series) -> pd.Series:
    """The place of each row's optimiser in the order of ``ordered``."""
    return optimizers.map({name: place for place, name in enumerate(ordered(optimizers.unique()))})


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The rows sorted by the place of their ``optimizer``; rows of one optimiser keep their order."""
    return table.sort_values("optimizer", key=ranks, kind="stable", ignore_index=True)


def colour(optimizer: str) -> str:
    """An optimiser's colour as ``#RRGGBB``; a control has that of its optimiser.

    An optimiser that the paper does not compare has a colour by a hash of its name.
    """
    optimizer = plain(optimizer)
    if optimizer in _KNOWN:
        return _KNOWN[optimizer][0]
    return _OTHER_COLOURS[_number(optimizer) % len(_OTHER_COLOURS)]


def marker(optimizer: str) -> str:
    """An optimiser's marker, for readers who cannot distinguish the colours."""
    if optimizer in _KNOWN:
        return _KNOWN[optimizer][1]
    return _OTHER_MARKERS[_number(optimizer) // len(_OTHER_COLOURS) % len(_OTHER_MARKERS)]


def point(optimizer: str) -> str:
    """``marker``, or a star for a control, which must not look like its optimiser."""
    return marker(optimizer) if optimizer == plain(optimizer) else "*"


def line(optimizer: str) -> str:
    """An optimiser's line style: solid for those of the paper, broken for all others."""
    if optimizer in _KNOWN:
        return "-"
    # As a rule, two names with the same colour differ in marker or line.
    return _OTHER_LINES[_number(optimizer) // len(_OTHER_COLOURS) // len(_OTHER_MARKERS) % len(_OTHER_LINES)]


def label(optimizer: str) -> str:
    """An optimiser's name as the paper writes it; the suffix of a control, such as ``, f + 1``, is kept."""
    return plain(optimizer).upper() + optimizer.removeprefix(plain(optimizer))


def is_published(optimizer: str) -> bool:
    """Whether the paper compares this optimiser."""
    return optimizer in _KNOWN


def plain(optimizer: str) -> str:
    """The optimiser of a control: ``sgd_log_metric`` for ``sgd_log_metric, f + 1``."""
    return optimizer.partition(",")[0]


def words(metric: str) -> str:
    """A metric's name as a reader sees it: ``test accuracy``."""
    return metric.replace("/", " ").replace("_", " ")


def span(numbers: pd.Series) -> str:
    """The range of numbers as text: ``500``, or ``60 to 200``."""
    low, high = numbers.min(), numbers.max()
    return f"{low}" if low == high else f"{low} to {high}"


def title(function: str) -> str:
    """A function's name as a reader sees it: ``Three Hump Camel`` for ``three_hump_camel``."""
    return function.replace("_", " ").title()


def panels(
    number: int, *, columns: int, height: float, spare: float, xlabel: str = "", sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of panels in rows, ``PAGE`` wide, or ``COLUMN`` for a single panel. Call it within ``style``.

    Args:
        number: the number of panels.
        columns: the most panels in a row.
        height: the height of a row, in inches.
        spare: inches for the title and the legend.
        xlabel: the x label of the panels that have no panel below them.
        sharey: whether all panels have the same y axis.
    """
    columns = min(columns, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(PAGE if columns > 1 else COLUMN, height * rows + spare), layout="constrained")
    grid = list(figure.subplots(rows, columns, sharex=True, sharey=sharey, squeeze=False).flat)
    for axes in grid[number:]:
        axes.set_axis_off()
    for axes in grid[max(number - columns, 0) : number]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(xlabel)  # not the figure's own label: a legend outside the panels would cover it
    return figure, grid[:number]


def readable(axis: Axis) -> None:
    """Labels a logarithmic axis of less than four decades with plain numbers, some between powers of ten."""
    low, high = axis.get_view_interval()
    if axis.get_scale() != "log" or high >= 1e4 * low:
        return
    subs = (1, 2, 3, 4, 6) if high < 20 * low else (1, 2, 5) if high < 200 * low else (1,)
    axis.set_major_locator(MaxNLocator(6) if high < 3 * low else LogLocator(subs=subs))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if len(subs) > 1:
        axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Writes ``<stem>.pdf`` and ``<stem>.png``, byte for byte the same for the same figure.

    The PNG has a palette of 256 colours, with which it is a third as large and looks the same.
    """
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    # Not with_suffix: the name of a sampler or a task may hold a dot.
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("pdf", "png")]
    with style():
        # Leave out the date and the version of matplotlib, which would change the bytes.
        metadata = {"CreationDate": None, "Producer": None, "Creator": None}
        figure.savefig(paths[0], metadata=metadata)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", metadata={"Software": None})
    with Image.open(drawn) as image:
        palette = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(paths[1], optimize=True)
    return paths


def _number(name: str) -> int:
    # Not hash(), which differs from process to process.
    return zlib.crc32(name.encode())
