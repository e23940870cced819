"""A real PostgreSQL for tests: Debian's, on loopback, in a folder of its own, run by a user without rights.

Used by fixtures of the channel and by the soaks; `python -m tests.postgres` starts one by hand.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from playground.processes import free_ports

PROGRAMS = Path("/usr/lib/postgresql")
START_S, STOP_S = 60.0, 30.0
NOBODY = 65534  # PostgreSQL refuses to run as root
HELD_MS = 60_000
TABLES = (
    "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables"
    " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
)
USER, PASSWORD = "shenqiao", "password-of-tests"


class Missing(Exception):
    """What the server needs is not on this machine; the sentence says what."""


class Postgres:
    """One server. `durable` waits for the disk at each commit, as an installation does; most tests need not."""

    def __init__(self, *, durable: bool = False) -> None:
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._durable = durable
        self._databases = 0
        (self.port,) = free_ports([0])
        _give(self._folder)
        self._initialise()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database of its own."""
        self._databases += 1
        name = f"t{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Returns when it answers. Raises `Missing` with its log when it does not."""
        durable = "on" if self._durable else "off"
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": durable,
            "synchronous_commit": durable,
            "full_page_writes": durable,
            "autovacuum": durable,
            "shared_buffers": "64MB",
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *_without_rights(),
                    str(self._programs / "postgres"),
                    "-D",
                    str(self._data),
                    *given,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise Missing(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends all connections at once and closes well; SIGQUIT is a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(STOP_S)

    def close(self) -> None:
        self.stop(signal.SIGQUIT)  # nobody will read what it would still write
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        _give(self._folder)
        command = [str(self._programs / "initdb"), "-D", str(self._data), "-U", USER]
        options = ["--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "-N"]
        try:
            subprocess.run(
                [*_without_rights(), *command, *options],
                check=True,
                capture_output=True,
                timeout=60,
            )
        except subprocess.SubprocessError as error:
            raise Missing(f"initdb failed: {getattr(error, 'stderr', b'')!r}") from error

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def empty(url: str) -> None:
    """Take all rows out of a database: much faster than to make another one. Fails where somebody holds them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET lock_timeout = {HELD_MS}")
        found = connection.execute(TABLES).fetchone()
        assert found is not None
        connection.execute(f"TRUNCATE {found[0]} RESTART IDENTITY")


@contextmanager
def running(*, durable: bool = False) -> Iterator[Postgres]:
    """A started server, which is removed at the end. Raises `Missing`."""
    server = Postgres(durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.close()


def _programs() -> Path:
    found = sorted(PROGRAMS.glob("*/bin/initdb"))
    if not found:
        raise Missing("There is no PostgreSQL here (Debian: postgresql).")
    return found[-1].parent


def _give(folder: Path) -> None:
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(folder)], check=True)


def _without_rights() -> list[str]:
    """What runs before the command: another user than root, and an end with the process that started it."""
    end = ["setpriv", "--pdeathsig", "INT"]
    if os.getuid() != 0:
        return end
    return [*end, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


if __name__ == "__main__":
    with running(durable=True) as started:
        print(started.url(), flush=True)  # noqa: T201  (a command)
        signal.pause()
