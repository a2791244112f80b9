"""A PostgreSQL server of the tests' own: Debian's programs, a temporary directory, a free port."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

USER = "tester"
# The server's own user, where root runs the tests: PostgreSQL refuses to run as root.
ACCOUNT = "postgres"
SETTINGS = {
    "max_connections": "100",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "autovacuum": "off",
}


def directory_of_programs():
    """Where ``initdb`` and ``pg_ctl`` are: Debian keeps them off the path; the newest version first."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    on_path = [Path(found).parent for found in [shutil.which("pg_ctl")] if found]
    complete = [d for d in [*debian, *on_path] if (d / "initdb").exists() and (d / "pg_ctl").exists()]
    return complete[0] if complete else None


def reason_for_none():
    """Why no server can be started here; None where one can."""
    if directory_of_programs() is None:
        return "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(ACCOUNT)
        except KeyError:
            return f"PostgreSQL does not run as root, and there is no user {ACCOUNT}"
    return None


class PostgresServer:
    """One cluster, from ``initdb`` to ``close``: its port and its password outlive a restart.

    ``settings`` are postgresql.conf's, over ``SETTINGS``: nothing here has to survive a power failure.
    """

    host = "127.0.0.1"
    user = USER

    def __init__(self, **settings):
        self.password = secrets.token_hex(16)
        self._programs = directory_of_programs()
        self._names = (f"study_{number}" for number in count())
        # A socket's path has at most 107 bytes, and pytest's own directories are closed to the account.
        self._home = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        self._data = self._home / "data"
        with socket.socket() as free:
            free.bind((self.host, 0))
            self.port = free.getsockname()[1]
        secret = self._home / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self._home, secret):
                shutil.chown(path, ACCOUNT)
        try:
            access = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}"]
            self._run("initdb", *access, "--encoding=UTF8", "--locale=C", "--no-sync")
            own = {
                "listen_addresses": self.host,
                "port": str(self.port),
                "unix_socket_directories": str(self._home),
            }
            with (self._data / "postgresql.conf").open("a") as file:
                file.writelines(
                    f"{name} = '{value}'\n" for name, value in (SETTINGS | own | settings).items()
                )
            self.start()
        except BaseException:
            self.close()
            raise

    def _run(self, program, *arguments):
        """Runs one of PostgreSQL's programs on the data directory, as the server's user."""
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", ACCOUNT, "--", *command]
        # The caller's PGHOST, PGPORT or PGDATA would be taken for this server's.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self._home, env=environment
        )
        if done.returncode:
            log = self.log()
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}{log}")

    def start(self):
        self._run("pg_ctl", "start", "-w", "-l", str(self._home / "log"))

    def stop(self, mode="fast"):
        """Ends all connections and the server; ``mode="immediate"`` is a crash; ``start`` recovers."""
        self._run("pg_ctl", "stop", "-w", "-m", mode)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def close(self):
        """Stops the server if it runs, and removes all it wrote."""
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._home)

    def log(self):
        path = self._home / "log"
        return path.read_text() if path.exists() else ""

    def connect(self, database="postgres"):
        """A connection by psycopg itself, in autocommit, that goes through no pool."""
        return psycopg.connect(
            host=self.host, port=self.port, user=self.user, password=self.password, dbname=database,
            autocommit=True,
        )  # fmt: skip

    def execute(self, statement, *values, database="postgres"):
        """The rows that one statement gives, on a connection of its own."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def url(self, database=None, *, fresh=True):
        """SQLAlchemy's URL of a fresh, empty database, by default of a name not used before.

        ``fresh=False``: of the database as it is.
        """
        database = database or next(self._names)
        if fresh:
            name = sql.Identifier(database)
            with self.connect() as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
                connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        return f"postgresql+psycopg://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def terminate_connections(self, database=None):
        """Ends all clients' connections, to one database or to any; returns how many, once they are gone."""
        return len(
            self.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                " AND (%s::text IS NULL OR datname = %s)",
                database, database,
            )
        )  # fmt: skip
