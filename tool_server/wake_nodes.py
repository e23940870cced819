"""Wake-up calls between nodes that share a PostgreSQL: NOTIFY, and one listening thread per process; beside `wake`.

They only save time: what is missed while the connection is away is found by polling.
"""

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from tool_server.database import Database, DatabaseAway
from tool_server.wake import Bell

if TYPE_CHECKING:
    import psycopg

log = structlog.get_logger()

CHANNEL = "shenqiao"
# How often the thread looks whether it is to end, and how long it waits for a database that is away.
PATIENCE_S = 0.5


def notify(database: Database, kind: str, payload: str = "") -> None:
    """Wake every process of a kind on every node; called after the commit of what it is about.

    By itself, though it could be said within that commit: PostgreSQL lets commits that notify pass one by one, and one
    that writes would keep the next ones waiting for the disk.
    """
    if database.postgresql:
        with suppress(DatabaseAway):
            told = sa.func.pg_notify(CHANNEL, f"{kind} {payload}")
            database.read(lambda db: db.execute(sa.select(told)))


class Listener:
    """Rings this process's bell for what other nodes say to its kind; does nothing on SQLite."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        if database.postgresql:
            self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _listen(self) -> None:
        import psycopg  # only where there is a PostgreSQL

        plain = self._database.url.set(drivername="postgresql")
        while not self._closed.is_set():
            try:
                with psycopg.connect(
                    plain.render_as_string(hide_password=False), autocommit=True, connect_timeout=5
                ) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._hear(connection)
            except psycopg.Error as error:
                log.warning("listener.lost", state=error.sqlstate)
                self._closed.wait(PATIENCE_S)

    def _hear(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        while not self._closed.is_set():
            for said in connection.notifies(timeout=PATIENCE_S):
                kind, _, payload = said.payload.partition(" ")
                if kind == self._bell.kind:
                    self._bell.ring(payload)
