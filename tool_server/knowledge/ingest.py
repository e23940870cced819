"""Ingesting files in one call: a job that this process does itself; for the command, scripts and tests."""

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.jobs.job import Job, Request, check_base
from tool_server.knowledge.jobs.metrics import Metrics
from tool_server.knowledge.jobs.queue import Jobs, owners_of
from tool_server.knowledge.jobs.run import run_job
from tool_server.knowledge.jobs.scan import absolute
from tool_server.knowledge.search import Knowledge
from tool_server.owner import OwnerLock


@dataclass
class Report:
    """What became of the files."""

    files: int = 0
    documents: int = 0
    changed: int = 0
    withdrawn: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)
    state: str = "done"  # or failed, cancelled
    failed: str = ""  # why the whole job was given up


def ingest(
    knowledge: Knowledge,
    base: str,
    paths: Sequence[Path],
    *,
    delete: bool = True,
    force: bool = False,
) -> Report:
    """Store and index the documents of these files and folders. Raises `BadRequest`, and `IndexBusy`.

    Each batch is on disk before the next is read: after a kill the same call goes on where it was.
    """
    check_base(base)
    request = Request(paths=tuple(map(absolute, paths)), delete=delete, force=force)
    jobs = Jobs(knowledge.settings, knowledge.catalogue.database)
    jobs.take_over()
    number = jobs.enqueue(base, "folders", request)
    run_here(knowledge, jobs, number)
    return report_of(jobs, jobs.get(number))


def run_here(knowledge: Knowledge, jobs: Jobs, number: int) -> None:
    """Do a job that waits in this process. Raises `IndexBusy`, with the job cancelled: nothing was read."""
    with _owner(knowledge) as owner:
        job = jobs.take(owner, number)
        if job is None:  # an indexer has started meanwhile, and has it
            return
        try:
            run_job(knowledge, jobs, job, Metrics(), threading.Event())
        except IndexBusy:
            jobs.cancel(number)
            raise


def report_of(jobs: Jobs, job: Job) -> Report:
    """What a job says, in short."""
    report = Report(0, job.documents, job.changed, job.withdrawn, [], job.state, job.reason)
    report.files = job.files_done - job.files_refused
    after = 0
    while items := jobs.items(job.id, states=("refused", "withdrawn"), after=after):
        after = items[-1].id
        report.files -= sum(item.state == "withdrawn" for item in items)
        report.refused += [
            (Path(item.location), item.reason) for item in items if item.state == "refused"
        ]
    return report


@contextmanager
def _owner(knowledge: Knowledge) -> Iterator[str]:
    name = f"command-{os.getpid()}-{secrets.token_hex(4)}"
    lock = OwnerLock(owners_of(knowledge.settings), name)
    try:
        yield name
    finally:
        lock.close()
