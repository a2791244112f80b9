"""Where studies are coordinated: the configuration group ``storage``."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from omegaconf import DictConfig
from pydantic import Field

from induced_metric.cli.values import plain, settings
from induced_metric.errors import UserError

if TYPE_CHECKING:
    from induced_metric.records import StudyKey
    from induced_metric.studies.server import Server
    from induced_metric.studies.storage import Storage

_URL = "INDUCED_METRIC_STORAGE"


@dataclass(frozen=True, kw_only=True)
class Journals:
    """One journal per study."""

    name: Literal["journal"]

    def of(self, key: "StudyKey", results: Path, *, retry: bool) -> "Storage":
        """The storage of a study; with ``retry``, its failed trials run again."""
        from induced_metric.studies.journal import JournalStorage

        return JournalStorage(file_of(key, results, "journal"), retry=retry)


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database for all studies."""

    name: Literal["postgresql"]
    url_file: str | None
    grace: Annotated[int, Field(ge=3)]
    patience: Annotated[float, Field(ge=0)]
    claims: Annotated[int, Field(ge=1)]
    same_code: Annotated[bool, Field(strict=True)]

    def of(self, server: "Server", key: "StudyKey", results: Path, *, retry: bool) -> "Storage":
        """The storage of a study; with ``retry``, its failed trials run again."""
        from induced_metric.studies.postgres import PostgresStorage

        lock = file_of(key, results, "lock")
        return PostgresStorage(
            server=server, lock=lock, claims=self.claims, same_code=self.same_code, retry=retry
        )

    def connect(self, worker: str | None, stop: Callable[[], bool]) -> "Server":
        """Opens the database for a worker with this name.

        Raises:
            UserError: if the database cannot be used, or the name is taken.
        """
        from induced_metric.studies.server import Server

        return Server(self.url(), worker=worker, grace=self.grace, patience=self.patience, stop=stop)

    def url(self) -> str:
        """The URL of the database, from the file or the environment.

        Raises:
            UserError: if it is missing.
        """
        return database_url(self.url_file)


def database_url(file: str | None) -> str:
    """The URL of the database, from the given file or, without one, from the environment.

    Raises:
        UserError: if it is missing.
    """
    if file is None:
        url = os.environ.get(_URL, "")
        if not url:
            raise UserError(
                f"storage=postgresql needs the URL of the database: set {_URL}, or name a file by "
                "storage.url_file"
            )
        return url
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(f"storage.url_file: cannot read {file} ({reason})") from error


def storages(cfg: DictConfig) -> Journals | Database:
    """The storage that the configuration chooses.

    Raises:
        UserError: for a setting of the wrong type or out of range.
    """
    chosen: dict[str, Any] = plain(cfg.storage)
    if chosen["name"] == "journal":
        return settings(Journals, chosen, "storage")
    return settings(Database, chosen, "storage")


def retries(cfg: DictConfig) -> bool:
    """Whether failed trials run again.

    Raises:
        UserError: if the setting is neither ``failed`` nor null.
    """
    if cfg.retry not in (None, "failed"):
        raise UserError(f"retry must be failed, to run failed trials again, or null, got {cfg.retry!r}")
    return cfg.retry == "failed"


def turned(worker: str, configurations: list[DictConfig]) -> list[DictConfig]:
    """The configurations in a worker's order: each starts with a different one, by the number in its name."""
    number = re.search(r"\d+$", worker)
    first = int(number[0]) % len(configurations) if number else 0
    return configurations[first:] + configurations[:first]


def file_of(key: "StudyKey", results: Path, kind: str) -> Path:
    """The file of this kind that a study has: its journal or its lock."""
    return key.directory(results, "studies").with_name(f"{key.optimizer}.{kind}")
