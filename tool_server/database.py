"""A database: SQLite with one writer thread and group commit, or PostgreSQL; used by ledger and catalogue."""

import fcntl
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from tool_server.errors import Unavailable
from tool_server.settings import Settings

# Transactions that one commit may carry; a commit costs one wait for the disk.
GROUP = 64
BUSY_TIMEOUT_S = 15.0
# PostgreSQL: tries of a transaction of which the server has certainly kept nothing.
TRIES = 4
PAUSE_S = 0.02
# SQLSTATE: serialization failure, deadlock. Whatever was done is undone.
UNDONE = ("40001", "40P01")
# Connections of a process that stay open; the others end when they are given back. Opening one costs more CPU than a
# dozen transactions, so all that are in use at once under load should stay.
KEPT = 24

type Work[T] = Callable[[sa.Connection], T]


class DatabaseAway(Unavailable):
    """The database cannot be reached; nothing of this transaction was kept."""

    def __init__(self, message: str = "The database cannot be reached.") -> None:
        super().__init__(message, retry_after=1)


class OutcomeUnknown(DatabaseAway):
    """The connection ended during the commit: the change may be kept or not, and nobody may believe either."""

    def __init__(self) -> None:
        super().__init__("The database went away while it was writing.")


class Database:
    """Short transactions, nothing else: `read` changes nothing, `write` returns once the change is on disk.

    On PostgreSQL both raise `DatabaseAway`. A transaction that certainly left nothing is tried again, so `work` may run
    more than once; one whose commit got no answer is not: its caller asks the ledger what is true.
    """

    def __init__(self, url: str | sa.URL, *, connections: int = 32, timeout_s: float = 5.0) -> None:
        self.url = sa.make_url(url)
        self.postgresql = self.url.get_backend_name() == "postgresql"
        self._engine = sa.create_engine(self.url, **self._options(connections, timeout_s))
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        if not self.postgresql:
            self._turnstile = Turnstile(self.url.database)
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)

    @classmethod
    def open(cls, settings: Settings) -> "Database":
        """The ledger's database."""
        return cls(
            url_of(settings),
            connections=settings.database_connections,
            timeout_s=settings.database_timeout_s,
        )

    @property
    def engine(self) -> sa.Engine:
        return self._engine

    def read[T](self, work: Work[T]) -> T:
        if self.postgresql:
            return _try_again(lambda: self._read_postgresql(work))
        with self._engine.connect() as connection:
            return work(connection)

    def write[T](self, work: Work[T]) -> T:
        """Run `work` in a transaction of its own; raises what it raises, then nothing of it is kept."""
        if self.postgresql:
            return _try_again(lambda: self._write_postgresql(work))
        self._start_writer()
        job = _Job(work)
        self._queue.put(job)
        result: T = job.future.result()
        return result

    def close(self) -> None:
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        self._engine.dispose()
        if not self.postgresql:
            self._turnstile.close()

    def _options(self, connections: int, timeout_s: float) -> dict[str, Any]:
        if not self.postgresql:
            return {
                "connect_args": {"timeout": BUSY_TIMEOUT_S},
                "pool_size": 32,
                "max_overflow": 96,
            }
        kept = min(KEPT, connections)
        return {
            "isolation_level": "READ COMMITTED",
            "pool_size": kept,
            "max_overflow": connections - kept,
            "pool_timeout": timeout_s,
            "hide_parameters": True,
            "connect_args": {
                "connect_timeout": max(2, round(timeout_s)),
                "application_name": "shenqiao",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            },
        }

    def _read_postgresql[T](self, work: Work[T]) -> T:
        """Each statement by itself: with READ COMMITTED a transaction around them would only cost two more journeys."""
        with _translated(), self._engine.connect() as connection:
            return work(connection.execution_options(isolation_level="AUTOCOMMIT"))

    def _write_postgresql[T](self, work: Work[T]) -> T:
        with _translated(), self._engine.connect() as connection:
            transaction = connection.begin()
            try:
                result = work(connection)
            except BaseException:
                with suppress(sa.exc.SQLAlchemyError):  # without a connection the server undoes it
                    transaction.rollback()
                raise
            try:
                transaction.commit()
            except sa.exc.DBAPIError as error:
                if error.connection_invalidated or _state_of(error).startswith("57"):
                    raise OutcomeUnknown from None
                raise
            return result

    def _start_writer(self) -> None:
        with self._lock:
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(
                    target=self._write_groups, name="writer", daemon=True
                )
                self._writer.start()

    def _write_groups(self) -> None:
        while (job := self._queue.get()) is not None:
            group, last = self._commit_next(job)
            for done in group:
                done.tell()
            if last:
                return

    def _commit_next(self, first: "_Job") -> tuple[list["_Job"], bool]:
        """What waits when it is our turn goes into one commit."""
        try:
            with self._turnstile:
                group, last = _gather(self._queue, first)
                self._commit(group)
        except OSError as error:  # no place for the turnstile's file: nothing was begun
            first.fail(error)
            return [first], False
        return group, last

    def _commit(self, group: list["_Job"]) -> None:
        try:
            writing = self._engine.connect().execution_options(writes_at_once=True)
            with writing as connection, connection.begin():
                for job in group:
                    job.run(connection)
        except Exception as error:  # the commit itself failed: nobody may believe that it happened
            for job in group:
                job.fail(error)


class Turnstile:
    """Processes that write one SQLite file pass one by one and are woken at once; SQLite itself would poll."""

    def __init__(self, database: str | None) -> None:
        self._path = Path(f"{database}-turn") if database and database != ":memory:" else None
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        if self._path is not None:
            self._file = self._file or self._path.open("w")
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Job:
    """One transaction that waits for its group."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self.future: Future[Any] = Future()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self, connection: sa.Connection) -> None:
        """Run inside a savepoint, so that one failure does not undo its neighbours.

        By the driver itself: SQLAlchemy's own savepoints cost more than the statements between them.
        """
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise TypeError("only SQLite has groups")
        driver.execute("SAVEPOINT one")
        try:
            self._result = self._work(connection)
        except Exception as error:  # given back to the caller by `tell`
            try:
                driver.execute("ROLLBACK TO one")
            except sqlite3.OperationalError:  # on a full disk SQLite has undone the whole group
                raise error from None
            self._error = error
        driver.execute("RELEASE one")

    def fail(self, error: BaseException) -> None:
        self._error = error

    def tell(self) -> None:
        """Let the caller go on, with its result or its error."""
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._result)


def _gather(waiting: "queue.SimpleQueue[_Job | None]", first: _Job) -> tuple[list[_Job], bool]:
    group = [first]
    while len(group) < GROUP:
        try:
            job = waiting.get_nowait()
        except queue.Empty:
            return group, False
        if job is None:
            return group, True
        group.append(job)
    return group, False


def url_of(settings: Settings) -> sa.URL:
    """Where the ledger lives."""
    given = settings.database_url.get_secret_value()
    if given:
        return sa.make_url(given.replace("postgres://", "postgresql://", 1)).set(
            drivername="postgresql+psycopg"
        )
    path = Path(settings.data_dir).absolute() / "shenqiao.db"
    return sa.URL.create("sqlite", database=str(path))


def _try_again[T](attempt: Callable[[], T]) -> T:
    """The result of `attempt`, which is repeated where the server has certainly kept nothing of it."""
    for number in range(1, TRIES):
        try:
            return attempt()
        except OutcomeUnknown:
            raise
        except DatabaseAway:
            time.sleep(random.uniform(0.5, 1.5) * PAUSE_S * 4**number)
    return attempt()


@contextmanager
def _translated() -> Iterator[None]:
    """Faults of the connection, or of others who write, as `DatabaseAway`; all others as they are."""
    import psycopg  # only where there is a PostgreSQL

    try:
        yield
    except sa.exc.TimeoutError:
        raise DatabaseAway("All connections to the database are in use.") from None
    except psycopg.Error as error:  # of `prepared.together`, which asks the driver itself
        if error.sqlstate in UNDONE:
            raise DatabaseAway("Others write the same rows.") from None
        if _is_lost(error.sqlstate or "") or not error.sqlstate:
            raise DatabaseAway from None
        raise
    except sa.exc.DBAPIError as error:
        state = _state_of(error)
        if state in UNDONE:
            raise DatabaseAway("Others write the same rows.") from None
        lost = error.connection_invalidated or _is_lost(state)
        if lost or (isinstance(error, sa.exc.OperationalError) and not state):
            raise DatabaseAway from None
        raise


def _is_lost(state: str) -> bool:
    """Whether a SQLSTATE speaks of the connection, of the server's means, or of an operator who ended something."""
    return state[:2] in ("08", "53", "57")


def _state_of(error: sa.exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says when a transaction starts
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: a snapshot that is upgraded later may fail with SQLITE_BUSY at no fault."""
    writes = connection.get_execution_options().get("writes_at_once")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
