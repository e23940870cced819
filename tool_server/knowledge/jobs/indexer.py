"""The indexer process: takes jobs one after the other, and brings the index up to the catalogue; `shenqiao indexer`.

A process of its own: tokenising would take the interpreter from the threads that answer people.
"""

import os
import secrets
import signal
import threading
import time

import structlog

from tool_server import logs, wake
from tool_server.errors import ApiError
from tool_server.heartbeats import Heartbeat
from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.jobs import uploads
from tool_server.knowledge.jobs.job import Job
from tool_server.knowledge.jobs.metrics import Metrics
from tool_server.knowledge.jobs.queue import Jobs, owners_of
from tool_server.knowledge.jobs.run import run_job
from tool_server.knowledge.repair import INDEXER, Repair
from tool_server.knowledge.search import Knowledge
from tool_server.knowledge.vectors.follow import Follower
from tool_server.owner import OwnerLock
from tool_server.parent import follow_parent
from tool_server.settings import Settings

log = structlog.get_logger()

# Without a wake-up call the queue is looked at this often.
POLL_S = 5.0
# An index that cannot be had now is tried again after this time.
PAUSE_S = 2.0
SWEEP_S = 3600.0


def main(settings: Settings) -> None:
    """Work until SIGTERM; what is in hand then goes on in the next process."""
    logs.configure(settings, "indexer")
    follow_parent()
    stopped = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopped.set()
        wake.ring(settings.run_dir, INDEXER)

    with Indexer(settings) as indexer:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        indexer.run(stopped)


class Indexer:
    """One at a time has the index; a second one on the same data waits for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.owner = f"{INDEXER}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = OwnerLock(owners_of(settings), self.owner)
        self._bell = wake.Bell(settings.run_dir, INDEXER)
        self._knowledge = Knowledge.open(settings)
        self._jobs = Jobs(settings, self._knowledge.catalogue.database)
        self._repair = Repair(self._knowledge)
        self._metrics = Metrics()
        self._at_work = 0
        self._sweep_at = 0.0
        self._heartbeat = Heartbeat(
            settings.run_dir, INDEXER, self._metrics.registry, lambda: {"job": self._at_work}
        )

        vectors = self._knowledge.vectors
        self._follower = None if vectors is None else Follower(vectors, self._knowledge.index)

    def __enter__(self) -> "Indexer":
        self._heartbeat.start()
        if self._follower is not None:
            self._follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._follower is not None:
            self._follower.stop()
        self._heartbeat.stop()
        self._bell.close()
        self._knowledge.index.close()
        self._knowledge.catalogue.close()
        self._lock.close()

    def run(self, stopped: threading.Event) -> None:
        """Round after round; the rim where every fault is logged once."""
        while not stopped.is_set():
            try:
                pause = POLL_S if self._round(stopped) else PAUSE_S
            except Exception as error:  # the next round puts back what this one left
                log.error("indexer.fault", exc_info=error)
                pause = PAUSE_S
            if not stopped.is_set():
                self._bell.wait(pause)

    def _round(self, stopped: threading.Event) -> bool:
        """All jobs that wait, then the index; False where the index cannot be had now."""
        for number in self._jobs.take_over(mine=self.owner):
            log.warning("job.taken_over", job=number)
        try:
            while not stopped.is_set() and (job := self._jobs.take(self.owner)) is not None:
                self._work(job, stopped)
            if not stopped.is_set() and not self._repair.agrees():
                self._repair.repair()
        except (IndexBusy, ApiError) as error:
            log.warning("indexer.waits", reason=str(error))
            return False
        self._tidy_up()
        return True

    def _work(self, job: Job, stopped: threading.Event) -> None:
        self._at_work = job.id
        log.info("job.started", job=job.id, base=job.base, kind=job.kind, attempt=job.attempts)
        try:
            run_job(self._knowledge, self._jobs, job, self._metrics, stopped)
        finally:
            self._at_work = 0
        ended = self._jobs.get(job.id)
        log.info(
            "job.ended",
            job=job.id,
            state=ended.state,
            files=ended.files_total,
            refused=ended.files_refused,
            passages=ended.passages,
            seconds=round(ended.worked_s, 1),
        )

    def _tidy_up(self) -> None:
        self._jobs.prune()
        self._metrics.count(self._jobs.counts())
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_S
            if gone := uploads.sweep(self._settings, self._knowledge.catalogue.database):
                log.info("uploads.swept", files=gone)
