"""The live views of a trial and of a sweep; plain lines where the output is not a terminal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

if TYPE_CHECKING:
    from induced_metric.studies.plan import StudyStatus

_LINE_EVERY_SECONDS = 10.0


class TrialBar:
    """One bar, of a trial's epochs. Use it as a context manager.

    Args:
        name: what the bar is of.
        epochs: of the whole trial.
        console: where to show it.
    """

    def __init__(self, name: str, epochs: int, console: Console | None = None) -> None:
        # The time left is ours: rich looks back 30 s, which a long epoch exceeds.
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

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, done: int) -> None:
        """Starts the clock, after the compilation; an earlier run did ``done`` epochs."""
        self._begun, self._already = time.monotonic(), done
        if done:
            self.print(f"going on after epoch {done - 1}")

    def update(self, done: int, description: str) -> None:
        """Shows that so many epochs are done."""
        now = time.monotonic()
        left = ""
        if done > self._already:
            seconds = (now - self._begun) / (done - self._already) * (self._epochs - done)
            left = f"{_duration(seconds)} left" if done < self._epochs else ""
        self._bar.update(self._task, completed=done, description=description, left=left)
        if not self._bar.console.is_terminal and left and now - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = now
            print(f"{description}, epoch {done} of {self._epochs}, {left}", flush=True)

    def print(self, sentence: str) -> None:
        """Shows a sentence above the bar."""
        self._bar.console.print(sentence)


@dataclass
class _Row:
    published: float | None
    begun: float = 0.0  # at the first progress
    seen: float = 0.0  # at the last, so that the speed does not fall between two
    progress: "StudyStatus | None" = None

    def cells(self) -> list[str]:
        """Of the columns ``_HEADINGS``."""
        if self.progress is None:
            return ["compiling", "", "", _number(self.published), "", "", "", ""]
        progress = self.progress
        rate = progress.trained / max(self.seen - self.begun, 1e-9)
        return [
            f"{progress.finished}/{progress.total}",
            _under_way(progress),
            _number(progress.best),
            _number(self.published),
            _rate(rate),
            _duration(progress.left / rate) if rate and progress.left > 0 else "",
            str(progress.diverged),
            str(progress.pruned),
        ]


class SweepTable:
    """One row a study, from its start to the end of the sweep. Use it as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._rows: dict[str, _Row] = {}
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)
        self._last_line = -_LINE_EVERY_SECONDS

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def study(self, name: str, published: float | None) -> "Callable[[StudyStatus], None]":
        """Adds a row; returns what is to be called with the study's progress."""
        row = self._rows[name] = _Row(published)

        def update(progress: "StudyStatus") -> None:
            row.seen = time.monotonic()
            if row.progress is None:
                row.begun = row.seen
            row.progress = progress
            self._line(name, row, progress)

        return update

    def _table(self) -> Table:
        table = Table("study", *_HEADINGS)
        for name, row in self._rows.items():
            table.add_row(name, *row.cells())
        return table

    def _line(self, name: str, row: _Row, progress: "StudyStatus") -> None:
        if self._console.is_terminal:
            return
        if progress.finished < progress.total and row.seen - self._last_line < _LINE_EVERY_SECONDS:
            return
        self._last_line = row.seen
        facts = [f"{heading} {cell}" for heading, cell in zip(_HEADINGS, row.cells(), strict=True) if cell]
        print(f"{name}: {', '.join(facts)}", flush=True)


_HEADINGS = ("finished", "under way", "best", "published best", "speed", "time left", "diverged", "pruned")


def _under_way(progress: "StudyStatus") -> str:
    if not progress.running:
        return ""
    least, most = min(progress.running), max(progress.running)
    epochs = f"epoch {most}" if least == most else f"epochs {least} to {most}"
    return f"{len(progress.running)} at {epochs} of {progress.epochs}"


def _rate(trials_per_second: float) -> str:
    if not trials_per_second:
        return ""
    if trials_per_second >= 1:
        return f"{trials_per_second:.3g} trials/s"
    if 60 * trials_per_second >= 1:
        return f"{60 * trials_per_second:.3g} trials/min"
    return f"{3600 * trials_per_second:.3g} trials/h"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
