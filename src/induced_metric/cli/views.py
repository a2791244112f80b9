"""The live views of a trial and of a sweep; plain lines if the output is not a terminal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from induced_metric.cli.units import duration, in_words, number, rate

if TYPE_CHECKING:
    from induced_metric.analysis import rendering
    from induced_metric.studies.plan import StudyStatus

_LINE_EVERY_SECONDS = 10.0
_ENOUGH_SECONDS = 1.0  # a shorter measurement mostly shows the time that starting takes
_DAY_SECONDS = 24 * 3600.0


def console(*, width: int = 160) -> Console:
    """A console for tables.

    Args:
        width: columns if the output is not a terminal; a log has no edge, so no number needs to be cut off.
    """
    shown = Console(highlight=False)
    return shown if shown.is_interactive else Console(highlight=False, width=width)


def say_table(where: Console, table: "rendering.Table") -> None:
    """Prints a table of the analysis with its title and notes."""
    above, *below = map(escape, [table.title, *table.notes])
    where.print(above, "", table.terminal(), "", *below, "", sep="\n")


class TrialBar:
    """A progress bar over the epochs of a trial. Use it as a context manager.

    Args:
        name: the label of the bar.
        epochs: the epochs of the whole trial.
        console: where to show it.
    """

    def __init__(self, name: str, epochs: int, console: Console | None = None) -> None:
        # We compute the time left ourselves: rich looks back 30 s, and an epoch may take longer.
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task(name, total=epochs, left="")
        self._epochs = epochs
        self._begun, self._already = time.monotonic(), 0
        self._last_line = self._begun
        self._estimated = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, done: int) -> None:
        """Starts the clock after the compilation; an earlier run has done ``done`` epochs."""
        self._begun, self._already = time.monotonic(), done
        if done:
            self.print(f"continuing after epoch {done - 1}")

    def update(self, done: int, description: str) -> None:
        """Shows that ``done`` epochs are done."""
        now = time.monotonic()
        left = ""
        if done > self._already:
            seconds = (now - self._begun) / (done - self._already)
            left = f"{duration(seconds * (self._epochs - done))} left" if done < self._epochs else ""
            if left and not self._estimated and now - self._begun >= _ENOUGH_SECONDS:
                self._estimated = True
                epochs = self._epochs - self._already
                self.print(_estimate(seconds * epochs, f"{epochs} epochs", "fewer task.epochs"))
        self._bar.update(self._task, completed=done, description=description, left=left)
        if not self._bar.console.is_interactive and left and now - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = now
            print(f"{description}, epoch {done} of {self._epochs}, {left}", flush=True)

    def print(self, sentence: str) -> None:
        """Shows a sentence above the bar."""
        _print(self._bar.console, sentence)


@dataclass
class _Row:
    published: float | None
    begun: float = 0.0  # time of the first progress
    seen: float = 0.0  # time of the last, so that the speed shown does not fall between two
    progress: "StudyStatus | None" = None
    trials: int = 0  # trials left to finish at the first progress
    todo: float = 0.0  # the same, less the parts that checkpoints already have

    def cells(self) -> list[str]:
        """The cells of the columns ``_HEADINGS``."""
        if self.progress is None:
            return ["compiling", "", "", number(self.published), *[""] * 5]
        progress = self.progress
        speed = progress.trained / max(self.seen - self.begun, 1e-9)
        return [
            f"{progress.finished}/{progress.total}",
            _under_way(progress),
            number(progress.best),
            number(self.published),
            rate(speed),
            duration(progress.left / speed) if speed and progress.left > 0 else "",
            str(progress.diverged),
            str(progress.pruned),
            str(progress.failed or ""),
        ]


class SweepTable:
    """A table with one row per study, kept until the sweep ends. Use it as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._rows: dict[str, _Row] = {}
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)
        self._last_line = -_LINE_EVERY_SECONDS
        self._printed: set[str] = set()
        self._starting: list[_Row] = []
        self._awaited = 0  # reports still needed to know the speed of the studies that start

    def __enter__(self) -> Self:
        if self._console.is_interactive:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_interactive:
            self._live.stop()

    def print(self, sentence: str) -> None:
        """Shows a sentence above the table, once per sweep."""
        if sentence not in self._printed:
            self._printed.add(sentence)
            _print(self._console, sentence)

    def begin(self, devices: int) -> None:
        """Notes that the studies added last start; their time is estimated after ``devices`` more reports."""
        self._starting = [row for row in self._rows.values() if row.progress is None]
        self._awaited = devices

    def study(self, name: str, published: float | None) -> "Callable[[StudyStatus], None]":
        """Adds a row; returns the function to call with the study's progress."""
        row = self._rows[name] = _Row(published)

        def update(progress: "StudyStatus") -> None:
            row.seen = time.monotonic()
            if row.progress is None:
                row.begun = row.seen
                row.todo, row.trials = progress.left, progress.total - progress.finished
            elif self._awaited:
                self._awaited -= 1
            row.progress = progress
            self._line(name, row, progress)
            if self._starting and not self._awaited and row.seen - self._starting[0].begun >= _ENOUGH_SECONDS:
                self._estimate(name)

        return update

    def _estimate(self, name: str) -> None:
        """Prints how long the studies that have just started take together, since they share the devices."""
        rows, self._starting = self._starting, []
        begun = [(row, row.progress) for row in rows if row.progress]
        seconds = max(row.seen for row in rows) - min(row.begun for row, _ in begun)
        trained = sum(progress.trained for _, progress in begun)
        if trained and any(progress.finished < progress.total for _, progress in begun):
            trials = sum(row.trials for row in rows)
            sentence = _estimate(
                seconds / trained * sum(row.todo for row in rows), f"{trials} trials", "fewer trials"
            )
            _print(self._console, f"{name if len(rows) == 1 else f'{len(rows)} studies'}: {sentence}")

    def _table(self) -> Table:
        table = Table("study", *_HEADINGS)
        for name, row in self._rows.items():
            table.add_row(name, *row.cells())
        return table

    def _line(self, name: str, row: _Row, progress: "StudyStatus") -> None:
        if self._console.is_interactive:
            return
        if progress.finished < progress.total and row.seen - self._last_line < _LINE_EVERY_SECONDS:
            return
        self._last_line = row.seen
        facts = [f"{heading} {cell}" for heading, cell in zip(_HEADINGS, row.cells(), strict=True) if cell]
        print(f"{name}: {', '.join(facts)}", flush=True)


_HEADINGS = (
    "finished",
    "under way",
    "best",
    "published best",
    "speed",
    "time left",
    "diverged",
    "pruned",
    "failed",
)


def _print(console: Console, sentence: str) -> None:
    if console.is_interactive:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    else:
        print(sentence, flush=True)


def _estimate(seconds: float, work: str, less: str) -> str:
    """A sentence with the estimated time; above a day, it also says what would take less."""
    sentence = f"about {in_words(seconds)} for {work} at this speed"
    if seconds <= _DAY_SECONDS:
        return sentence
    return f"warning: {sentence}; {less}, a preset such as task=mnist_small, or more devices take less"


def _under_way(progress: "StudyStatus") -> str:
    if not progress.running:
        return ""
    least, most = min(progress.running), max(progress.running)
    epochs = f"epoch {most}" if least == most else f"epochs {least} to {most}"
    return f"{len(progress.running)} at {epochs} of {progress.epochs}"
