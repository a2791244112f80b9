"""The address of a database: a PostgreSQL URL, which holds a password and is never shown."""

import re
import urllib.parse
from collections.abc import Sequence
from typing import Any

from induced_metric.errors import UserError

_SETTINGS = "storage.url_file or the environment variable INDUCED_METRIC_STORAGE"


def parsed(url: str) -> Any:
    """Parses a URL into SQLAlchemy's form, with psycopg 3 as the driver.

    Raises:
        UserError: if it is not the URL of a PostgreSQL database.
    """
    import sqlalchemy

    try:
        address = sqlalchemy.make_url(url)
        # With an unescaped @ in the password, a part of the password would be taken for the host, and the
        # error would show it as a host that was not found.
        understood = "@" not in (address.host or "")
    except (sqlalchemy.exc.ArgumentError, ValueError):
        understood = False
    if not understood:
        raise UserError(
            f"{_SETTINGS} must be postgresql://user:password@host:port/database, where the characters @ : / "
            "% of a password are written as %40 %3A %2F %25"
        )
    if address.get_backend_name() != "postgresql":
        raise UserError(_unsuited(address.get_backend_name()))
    return address.set(drivername="postgresql+psycopg")


def _unsuited(backend: str) -> str:
    if backend == "sqlite":
        return (
            "SQLite cannot be shared by workers: its file locks fail over a network and it has no heartbeat; "
            f"{_SETTINGS} must name a PostgreSQL database"
        )
    return f"{_SETTINGS} must name a PostgreSQL database, got {backend}"


def secrets(url: str) -> list[str]:
    """The parts of a URL that must not be shown, the longest first."""
    passwords = re.findall(r"^[\w+]+://[^:/@]*:(.*)@", url) + re.findall(r"[?&]password=([^&]*)", url)
    return sorted({url, *passwords, *map(urllib.parse.unquote, passwords)} - {""}, key=len, reverse=True)


def public(error: BaseException, hidden: Sequence[str]) -> str:
    """An error as one line, with each hidden string replaced by ``***``."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    line = re.sub(r"^\([\w.]+\) ", "", line)
    for secret in hidden:
        line = line.replace(secret, "***")
    return line
