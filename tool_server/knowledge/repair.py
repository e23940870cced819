"""Bringing an index up to its catalogue that a killed ingest left behind; asked before each search, done seldom."""

import threading
import time
from collections.abc import Callable

import structlog

from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.search import Knowledge

log = structlog.get_logger()

PERIOD_S = 1.0


class Repair:
    """Compares the two at most once a second, in one thread at a time."""

    def __init__(self, knowledge: Knowledge, clock: Callable[[], float] = time.monotonic) -> None:
        self._knowledge = knowledge
        self._clock = clock
        self._next_at = 0.0
        self._lock = threading.Lock()

    def if_behind(self) -> None:
        """Sync if nobody else does; a search meanwhile sees the index as it was."""
        if self._clock() < self._next_at or not self._lock.acquire(blocking=False):
            return
        try:
            self._next_at = self._clock() + PERIOD_S
            if self._knowledge.index.applied() < self._knowledge.catalogue.sequence():
                self._knowledge.index.sync(self._knowledge.catalogue)
                log.warning("index.repaired")
        except IndexBusy:
            return
        finally:
            self._lock.release()
