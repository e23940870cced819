"""A running job's sign of life, beside its commits: a long file is no reason to look dead; used by `run`."""

import threading

import sqlalchemy as sa
import structlog

from tool_server.knowledge.jobs.job import Job
from tool_server.knowledge.jobs.queue import Jobs

log = structlog.get_logger()

PULSE_S = 2.0


class Pulse:
    """A thread that says each two seconds what the job is at, and hears whether it shall go on."""

    def __init__(self, todo: Jobs, job: Job) -> None:
        self._todo = todo
        self._job = job
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self.stage, self.current = "scanning", ""
        self.goes_on = True

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(PULSE_S):
            try:
                going = self._todo.beat(self._job.id, self._job.owner, self.stage, self.current)
                self.goes_on = self.goes_on and going
            except sa.exc.SQLAlchemyError as error:  # a full disk: the work itself says so
                log.warning("job.pulse_failed", job=self._job.id, error=type(error).__name__)
