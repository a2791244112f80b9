"""Checkpoints of trials under way: the state of a lane and the curve so far, in one file of NumPy's.

A checkpoint is a file ``<directory>/<trial>/<steps done>.npz``, or ``<directory>/<trial>/by-<claim>/<steps
done>.npz`` if several processes may train the trial. It is renamed into place when it is complete, so a kill
leaves the previous one. Arrays are saved bit for bit, so a trial that resumes from a checkpoint has the same
curve as one that was never interrupted; the file's checksums show a bit that has changed since.
"""

import contextlib
import copy
import fcntl
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from induced_metric.errors import DiskError, UserError, locking, written
from induced_metric.training import archive
from induced_metric.training.origins import edited, origin

_CLAIM = "by-"  # prefix of the directory of a claim


class Checkpoint(NamedTuple):
    """The checkpoint of a trial under way."""

    done: int  # number of steps
    state: Any  # of its lane
    curve: dict[str, np.ndarray]  # columns with one entry per step


class Checkpoints:
    """The newest checkpoint of each trial of a study.

    Args:
        directory: where they are stored.
        every: steps between two checkpoints of a trial; 0 saves only at an orderly stop.
        seconds: the least time between two checkpoints of a trial, because on a fast device saving would
            take longer than the steps that it saves.
        clock: a function that returns seconds, from any origin.

    Raises:
        ValueError: for a negative ``every`` or ``seconds``.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        every: int = 0,
        seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if every < 0:
            raise ValueError(f"checkpoint_every must be >= 0, got {every}")
        if not seconds >= 0:
            raise ValueError(f"checkpoint_seconds must be >= 0, got {seconds}")
        self.every = every
        self._seconds = seconds
        self._clock = clock
        self._since: dict[str | int, float] = {}  # last checkpoint, or first report
        self._directory = Path(directory).absolute()
        self._origin: Mapping[str, Any] = {}
        self._said: set[str] = set()

    def of(self, provenance: Mapping[str, Any]) -> "Checkpoints":
        """The same checkpoints, which say what program made them; ``load`` skips those of edited code."""
        made = copy.copy(self)
        made._origin = origin(provenance)
        return made

    def due(self, done: int, new: int, trial: str | int) -> bool:
        """Whether a multiple of ``every`` is among the last ``new`` of ``done`` steps of a trial.

        Besides, ``seconds`` must have passed since its last checkpoint or, without one, since the first call
        for it.
        """
        now = self._clock()
        waited = now - self._since.setdefault(trial, now) >= self._seconds
        return waited and self.every > 0 and done // self.every > (done - new) // self.every

    def save(
        self, trial: str | int, state: Any, curve: Mapping[str, np.ndarray], *, claim: str | None = None
    ) -> None:
        """Saves a trial after as many steps as its curve has entries, in place of its earlier checkpoint.

        If the system refuses to write, the earlier checkpoint stays and one warning is given, since a trial
        can do without a newer one.

        Args:
            trial: its name.
            state: the state of its lane.
            curve: columns with one entry per step.
            claim: the claim under which it is trained, if several processes may train it; each process
                replaces only its own checkpoints.
        """
        done = len(next(iter(curve.values())))
        directory = self._directory / str(trial)
        if claim:
            directory /= f"{_CLAIM}{claim}"
        older = _saved(directory)
        path = directory / f"{done}.npz"
        self._since[trial] = self._clock()
        try:
            with written(directory):
                directory.mkdir(parents=True, exist_ok=True)
            archive.write(path, state, curve, self._origin)
        except FileNotFoundError:  # another process has ended the trial, and removed the directory
            return
        except DiskError as error:
            reason = getattr(error.__cause__, "strerror", error)
            self._say_once(
                "refused",
                f"{self._directory} cannot be written ({reason}): a trial that is stopped now will continue "
                "from its last checkpoint, or start again",
            )
            return
        for earlier in {*older, *directory.glob("*.tmp")} - {path}:  # a kill while saving leaves the latter
            earlier.unlink(missing_ok=True)

    def load(self, trial: str | int, like: Any) -> Checkpoint | None:
        """The newest checkpoint of a trial, under any claim; None if it has none.

        A damaged checkpoint is skipped, with a warning, in favour of the one before it; so is one of which
        ``origins.edited`` says that other code made it, and one in the format of an earlier version.

        Args:
            trial: as in ``save``.
            like: a state of the same structure; arrays or their shapes.
        """
        directory = self._directory / str(trial)
        directories = [directory, *directory.glob(f"{_CLAIM}*")]
        for path in sorted(set().union(*map(_saved, directories)), key=_done, reverse=True):
            try:
                arrays = archive.read(path)
                if not edited(archive.origin_of(arrays), self._origin):
                    return Checkpoint(_done(path), *archive.unpacked(arrays, like))
                self._say_once(
                    "edited",
                    f"the checkpoint {path} was made by other code, which computed something else, and is "
                    "passed over, as others may be: without another one, a trial starts again",
                )
            except (ValueError, KeyError) as error:
                warnings.warn(
                    f"the checkpoint {path} is damaged ({error}): the trial continues from an "
                    "older one, or starts again",
                    stacklevel=2,
                )
        if any(path.name.isdigit() for each in directories for path in each.glob("*")):
            self._say_once(
                "format",
                f"{directory} has a checkpoint in the format of an earlier version, which is not read, as "
                "others may have: such a trial starts again",
            )
        return None

    def _say_once(self, kind: str, message: str) -> None:
        """Warns once of what may concern all trials under way."""
        if kind not in self._said:
            self._said.add(kind)
            warnings.warn(message, stacklevel=3)

    def remove(self, trial: str | int) -> None:
        """Removes the checkpoint of a trial that has ended."""
        self._since.pop(trial, None)
        shutil.rmtree(self._directory / str(trial), ignore_errors=True)  # another process may be removing it

    def names(self) -> set[str]:
        """The trials that have a directory here, even without a complete checkpoint."""
        return {path.name for path in self._directory.glob("*") if path.is_dir()}

    def older_than(self, trial: str | int, file: Path) -> bool:
        """Whether the checkpoint of a trial was saved before a file was written, and is still there."""
        try:
            return (self._directory / str(trial)).stat().st_mtime_ns <= file.stat().st_mtime_ns
        except FileNotFoundError:  # another process has just removed it
            return False

    @contextlib.contextmanager
    def exclusive(self, trial: str | int) -> Iterator[None]:
        """Locks a trial for this process; the system releases the lock however the process ends.

        Raises:
            UserError: if another process holds it.
        """
        path = self._directory / f"{trial}.lock"
        with written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        with _held(path):
            try:
                yield
            finally:
                path.unlink()


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    while True:
        with path.open("w") as file:
            try:
                with locking(path):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"another process is training this very trial: it holds {path}") from None
            # A process that has just ended may have removed this file; a lock on it would then be useless.
            if _is(path, file):
                yield
                return


def _is(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _saved(directory: Path) -> set[Path]:
    return {path for path in directory.glob("*.npz") if path.stem.isdigit()}


def _done(path: Path) -> int:
    return int(path.stem)
