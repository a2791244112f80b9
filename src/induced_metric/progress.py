"""The live view of a running sweep; plain lines where the output is not a terminal."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from induced_metric.plan import StudyProgress

_LINE_EVERY_SECONDS = 10.0


@dataclass
class _Row:
    published: float | None
    begun: float = field(default_factory=time.monotonic)
    already: int = 0  # finished by earlier runs
    progress: "StudyProgress | None" = None
    ended: float | None = None

    def rate(self) -> float:
        """Trials a second of this run."""
        done = (self.progress.finished if self.progress else 0) - self.already
        return done / max((self.ended or time.monotonic()) - self.begun, 1e-9)

    def cells(self) -> list[str]:
        """Finished/total, best, published best, trials/s, time left, diverged, pruned."""
        progress, rate = self.progress, self.rate()
        if progress is None:
            return ["compiling", "", _number(self.published), "", "", "", ""]
        left = progress.total - progress.finished
        return [
            f"{progress.finished}/{progress.total}",
            _number(progress.best),
            _number(self.published),
            f"{rate:.2f}" if rate else "",
            _duration(left / rate) if rate and left > 0 else "",
            str(progress.diverged),
            str(progress.pruned),
        ]


class SweepProgress:
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

    def study(self, name: str, published: float | None) -> "Callable[[StudyProgress], None]":
        """Adds a row; returns what is to be called with the study's progress."""
        row = self._rows[name] = _Row(published)

        def update(progress: "StudyProgress") -> None:
            if row.progress is None:
                row.begun, row.already = time.monotonic(), progress.finished
            row.progress = progress
            if progress.finished >= progress.total:
                row.ended = time.monotonic()
            self._line(name, row)

        return update

    def _table(self) -> Table:
        table = Table("study", *_HEADINGS)
        for name, row in self._rows.items():
            table.add_row(name, *row.cells())
        return table

    def _line(self, name: str, row: _Row) -> None:
        if self._console.is_terminal:
            return
        now = time.monotonic()
        if row.ended is None and now - self._last_line < _LINE_EVERY_SECONDS:
            return
        self._last_line = now
        facts = [f"{heading} {cell}" for heading, cell in zip(_HEADINGS, row.cells(), strict=True) if cell]
        print(f"{name}: {', '.join(facts)}", flush=True)


_HEADINGS = ("finished", "best", "published best", "trials/s", "time left", "diverged", "pruned")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
