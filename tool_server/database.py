"""A database: SQLite with one writer thread and group commit, or PostgreSQL; used by ledger and catalogue."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tool_server.settings import Settings

# Transactions that one commit may carry; a commit costs one wait for the disk.
GROUP = 64
BUSY_TIMEOUT_S = 15.0

type Work[T] = Callable[[sa.Connection], T]


class Database:
    """Short transactions, nothing else: `read` sees a snapshot, `write` returns once the change is on disk."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, **_engine_options(url))
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)

    @classmethod
    def open(cls, settings: Settings) -> "Database":
        return cls(url_of(settings))

    @property
    def engine(self) -> sa.Engine:
        return self._engine

    def read[T](self, work: Work[T]) -> T:
        with self._engine.connect() as connection:
            return work(connection)

    def write[T](self, work: Work[T]) -> T:
        """Run `work` in a transaction of its own; raises what it raises, then nothing of it is kept."""
        if not self._sqlite:
            with self._engine.begin() as connection:
                return work(connection)
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

    def _start_writer(self) -> None:
        with self._lock:
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(
                    target=self._write_groups, name="writer", daemon=True
                )
                self._writer.start()

    def _write_groups(self) -> None:
        while (job := self._queue.get()) is not None:
            group, last = _gather(self._queue, job)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list["_Job"]) -> None:
        try:
            writing = self._engine.connect().execution_options(writes_at_once=True)
            with writing as connection, connection.begin():
                for job in group:
                    job.run(connection)
        except Exception as error:  # the commit itself failed: nobody may believe that it happened
            for job in group:
                job.fail(error)
        else:
            for job in group:
                job.done()


class _Job:
    """One transaction that waits for its group."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self.future: Future[Any] = Future()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self, connection: sa.Connection) -> None:
        """Run inside a savepoint, so that one failure does not undo its neighbours."""
        savepoint = connection.begin_nested()
        try:
            self._result = self._work(connection)
        except Exception as error:  # given back to the caller by `done`
            try:
                savepoint.rollback()
            except sa.exc.OperationalError:  # on a full disk SQLite has undone the whole group
                raise error from None
            self._error = error
        else:
            savepoint.commit()

    def done(self) -> None:
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(self._result)

    def fail(self, error: BaseException) -> None:
        self.future.set_exception(error)


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


def url_of(settings: Settings) -> str:
    """Where the ledger lives."""
    return f"sqlite:///{Path(settings.data_dir).absolute() / 'shenqiao.db'}"


def _engine_options(url: str) -> dict[str, Any]:
    if not url.startswith("sqlite"):
        return {"pool_pre_ping": True, "pool_size": 16}
    return {"connect_args": {"timeout": BUSY_TIMEOUT_S}, "pool_size": 32, "max_overflow": 96}


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says when a transaction starts
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: a snapshot that is upgraded later may fail with SQLITE_BUSY at no fault."""
    writes = connection.get_execution_options().get("writes_at_once")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
