"""The address of a database: a URL of PostgreSQL's, which holds a password and is shown nowhere."""

import re
import urllib.parse
from collections.abc import Sequence
from typing import Any

from induced_metric.errors import UserError

_SETTINGS = "storage.url_file or the environment variable INDUCED_METRIC_STORAGE"


def parsed(url: str) -> Any:
    """A URL as SQLAlchemy takes it, for psycopg 3.

    Raises:
        UserError: unless it is one of a PostgreSQL database.
    """
    import sqlalchemy

    try:
        found = sqlalchemy.make_url(url)
        # A part of a password with an @ would be taken for the host, and shown as the one that is not found.
        understood = "@" not in (found.host or "")
    except (sqlalchemy.exc.ArgumentError, ValueError):
        understood = False
    if not understood:
        raise UserError(
            f"{_SETTINGS} must be postgresql://user:password@host:port/database, where the signs @ : / % of "
            "a password are written as %40 %3A %2F %25"
        )
    if found.get_backend_name() != "postgresql":
        raise UserError(_unsuited(found.get_backend_name()))
    return found.set(drivername="postgresql+psycopg")


def _unsuited(backend: str) -> str:
    if backend == "sqlite":
        return (
            "SQLite cannot be shared by workers: its file locks fail over a network and it has no heartbeat; "
            f"{_SETTINGS} must name a PostgreSQL database"
        )
    return f"{_SETTINGS} must name a PostgreSQL database, got {backend}"


def secrets(url: str) -> list[str]:
    """What must not be shown of a URL, the longest first."""
    found = re.findall(r"^[\w+]+://[^:/@]*:(.*)@", url) + re.findall(r"[?&]password=([^&]*)", url)
    return sorted({url, *found, *map(urllib.parse.unquote, found)} - {""}, key=len, reverse=True)


def public(error: BaseException, hidden: Sequence[str]) -> str:
    """An error in one line, without what is hidden."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    line = re.sub(r"^\([\w.]+\) ", "", line)
    for secret in hidden:
        line = line.replace(secret, "***")
    return line
