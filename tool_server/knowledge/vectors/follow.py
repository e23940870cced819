"""A thread that keeps the vectors up to the catalogue; started once by the process that serves, or that indexes."""

import threading

import structlog

from tool_server.knowledge.index import Index, IndexBusy
from tool_server.knowledge.vectors.embedding import EmbeddingError
from tool_server.knowledge.vectors.leg import VectorLeg

log = structlog.get_logger()

PERIOD_S = 5.0
# A model that is away is asked again after this time.
AWAY_S = 30.0


class Follower:
    """One works at a time, whichever process it is in: the others find the lock taken and look again."""

    def __init__(self, leg: VectorLeg, index: Index) -> None:
        self._leg = leg
        self._index = index
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vectors", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After the batch in hand."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._stopped.wait(self._round())

    def _round(self) -> float:
        """Catch up once; how long to wait before the next time."""
        try:
            self._leg.catch_up(self._index, self._stopped)
        except IndexBusy:  # another process is at it
            return PERIOD_S
        except EmbeddingError as error:
            log.warning("vectors.behind", reason=str(error))
            return AWAY_S
        except Exception as error:  # the rim of this thread; the next round tries again
            log.error("vectors.failed", exc_info=error)
            return AWAY_S
        return PERIOD_S
