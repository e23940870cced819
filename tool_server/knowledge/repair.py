"""Bringing up to its catalogue an index that a killed ingest or a restored backup left; asked before each search."""

import threading
import time
from collections.abc import Callable

import structlog

from tool_server import wake
from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.jobs.queue import owners_of
from tool_server.knowledge.search import Knowledge
from tool_server.owner import one_lives

log = structlog.get_logger()

PERIOD_S = 1.0
# A small repair is done before the search that found the need; a large one goes on behind it.
PATIENCE_S = 1.0


# The kind of the bell, and of the lock, of the process that runs jobs.
INDEXER = "indexer"


class Repair:
    """Compares the two at most once a second; repairs in a thread of its own, one at a time."""

    def __init__(self, knowledge: Knowledge, clock: Callable[[], float] = time.monotonic) -> None:
        self._knowledge = knowledge
        self._clock = clock
        self._next_at = 0.0
        self._counted = False
        self._lock = threading.Lock()
        self._running: threading.Thread | None = None

    def if_behind(self) -> None:
        """Start a repair where it is needed; a search meanwhile sees the index as it was."""
        if self._clock() < self._next_at or not self._lock.acquire(blocking=False):
            return
        try:
            self._next_at = self._clock() + PERIOD_S
            if self._running is not None and self._running.is_alive():
                return
            if self.agrees() or self._hand_over():
                return
            self._running = threading.Thread(target=self.repair, name="repair", daemon=True)
            self._running.start()
            self._running.join(PATIENCE_S)
        finally:
            self._lock.release()

    def _hand_over(self) -> bool:
        """An indexer that lives does it: its tokenising does not hold up the web process's threads."""
        settings = self._knowledge.settings
        if not one_lives(owners_of(settings), INDEXER):
            return False
        wake.ring(settings.run_dir, INDEXER)
        return True

    def agrees(self) -> bool:
        """By the number of the last change; by the number of passages too when this process asks first."""
        index, catalogue = self._knowledge.index, self._knowledge.catalogue
        if index.applied() != catalogue.sequence():
            return False
        counted, self._counted = self._counted, True
        return counted or index.passage_count() == catalogue.passage_count()

    def repair(self) -> None:
        """Bring the index up to the catalogue, unless somebody else is at it."""
        try:
            with self._knowledge.index.writing(self._knowledge.catalogue):
                log.warning("index.repaired", sequence=self._knowledge.index.applied())
        except IndexBusy:  # an ingest is at it
            return
        except Exception as error:  # the rim of this thread; the next search tries again
            log.error("index.repair_failed", exc_info=error)
