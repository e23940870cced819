"""Questions that found nothing: what the knowledge lacks, for its editor. Their text is kept, never who asked."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.sqlite import insert

from tool_server.database import Database
from tool_server.knowledge.question import Question
from tool_server.knowledge.schema import misses
from tool_server.knowledge.values import is_text

log = structlog.get_logger()

WAITING = 256  # questions that wait to be written; more are not counted
CHARACTERS = 500  # of a question that are kept
PAUSE_S = 1.0  # questions of so long a time are one write

type Missed = tuple[str, str]  # base ("" for all) and question


@dataclass(frozen=True)
class Miss:
    """A question, how often it found nothing in this base ("" for a search in all), and when it last did."""

    base: str
    question: str
    count: int
    last_at: float


class Misses:
    """The table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, base: str | None, *, offset: int = 0, limit: int | None = None) -> list[Miss]:
        """The most frequent first, of one base or of all."""
        order = (misses.c.count.desc(), misses.c.last_at.desc())
        found = sa.select(misses).order_by(*order).offset(offset).limit(limit)
        if base is not None:
            found = found.where(misses.c.base == base)
        return self._database.read(lambda db: [Miss(*row) for row in db.execute(found)])

    def forget(self, base: str | None, question: str | None) -> int:
        """Remove one question, those of a base, or all; how many there were."""
        gone = sa.delete(misses)
        if base is not None:
            gone = gone.where(misses.c.base == base)
        if question is not None:
            gone = gone.where(misses.c.question == question)
        return self._database.write(lambda db: db.execute(gone).rowcount)

    def count(self, several: Mapping[Missed, int], *, keep: int) -> None:
        """Add these, and keep the `keep` newest."""
        self._database.write(lambda db: _count(db, several, keep))


class MissWriter:
    """Writes behind the searches, in a thread of its own; a search only puts its question into a queue."""

    def __init__(self, table: Misses, *, keep: int) -> None:
        """`keep`: questions that are kept; 0 keeps none."""
        self._table = table
        self._keep = keep
        self._waiting: queue.Queue[Missed] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()

    def note(self, question: Question) -> None:
        """Never waits: where too many wait already, this one is not counted."""
        if not self._keep:
            return
        text = " ".join(question.query.split())[:CHARACTERS]
        if not is_text(text):
            return
        try:
            for base in question.bases or ("",):
                self._waiting.put_nowait((base, text))
        except queue.Full:
            return
        self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="misses", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        while True:
            several = Counter([self._waiting.get()])
            time.sleep(PAUSE_S)
            while not self._waiting.empty():
                several[self._waiting.get()] += 1
            try:
                self._table.count(several, keep=self._keep)
            except Exception as error:  # the rim of this thread: a full disk must not end it
                log.error("misses.not_written", exc_info=error)


def _count(db: sa.Connection, several: Mapping[Missed, int], keep: int) -> None:
    now = time.time()
    for (base, question), count in several.items():
        row = insert(misses).values(base=base, question=question, count=count, last_at=now)
        added = {"count": misses.c.count + count, "last_at": now}
        db.execute(row.on_conflict_do_update(index_elements=["base", "question"], set_=added))
    total = db.scalar(sa.select(sa.func.count()).select_from(misses)) or 0
    if total > keep:
        oldest = sa.select(misses.c.base, misses.c.question).order_by(misses.c.last_at)
        old = oldest.limit(total - keep)
        db.execute(sa.delete(misses).where(sa.tuple_(misses.c.base, misses.c.question).in_(old)))
