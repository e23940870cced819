"""One job from its plan to its end; called by the indexer, and by the command where no indexer runs."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from tool_server.errors import Unavailable
from tool_server.knowledge.changes import rename, take_back
from tool_server.knowledge.document import Document
from tool_server.knowledge.index import IndexBusy, Writer
from tool_server.knowledge.jobs import plan, uploads
from tool_server.knowledge.jobs.batch import (
    Batch,
    Facts,
    LostJob,
    Reading,
    commit,
    cut_all,
)
from tool_server.knowledge.jobs.job import Item, Job, Request
from tool_server.knowledge.jobs.metrics import Metrics
from tool_server.knowledge.jobs.pulse import Pulse
from tool_server.knowledge.jobs.queue import Jobs, count, goes_on
from tool_server.knowledge.jobs.scan import scan
from tool_server.knowledge.jobs.sources import (
    bytes_of,
    cutting_of,
    described,
    digest_of,
    spooled,
)
from tool_server.knowledge.parse import Parser, Unreadable
from tool_server.knowledge.schema import documents, files, job_items, jobs
from tool_server.knowledge.search import Knowledge

log = structlog.get_logger()

type _Change = Callable[[sa.Connection, Item, sa.Row[Any], plan.Names], int]
# The index follows the catalogue this often; its commit costs as much as two hundred documents.
SYNC_S = 1.0
# A repair of the web process takes a moment; another ingest takes longer than anybody wants to wait without a word.
WAIT_S = 3.0
BATCH_CHARACTERS = 4_000_000
BATCH_FILES = 500
PAGE = 200


class Cancelled(Exception):
    """Somebody cancelled the job."""


class Stopped(Exception):
    """This process ends; the job goes on in the next one."""


class Failed(Exception):
    """The job cannot go on; the sentence says why."""


def run_job(
    knowledge: Knowledge, todo: Jobs, job: Job, metrics: Metrics, stopped: threading.Event
) -> None:
    """Do a job that was taken, and write down how it ended.

    Raises `IndexBusy` and `Unavailable`, with the job waiting again: its index is not to be had now.
    """
    try:
        with (
            knowledge.index.writing(knowledge.catalogue, wait_s=WAIT_S) as writer,
            Pulse(todo, job) as pulse,
        ):
            _Run(knowledge, todo, job, writer, metrics, pulse, stopped).work()
        todo.end(job.id, job.owner, "done")
    except Cancelled:
        todo.end(job.id, job.owner, "cancelled")
    except LostJob:
        log.warning("job.lost", job=job.id)
    except Stopped:
        todo.put_back(job.id, job.owner, "The indexer was stopped.")
    except IndexBusy:
        todo.put_back(job.id, job.owner, "Another process writes the index.")
        raise
    except Unavailable as error:
        todo.put_back(job.id, job.owner, error.message)
        raise
    except (plan.Refused, Failed) as error:
        todo.end(job.id, job.owner, "failed", str(error))
    except (OSError, sa.exc.OperationalError) as error:
        log.error("job.failed", job=job.id, exc_info=error)
        todo.end(job.id, job.owner, "failed", _reason(error))


class _Run:
    """The steps of one job; the index is locked for it."""

    def __init__(
        self,
        knowledge: Knowledge,
        todo: Jobs,
        job: Job,
        writer: Writer,
        metrics: Metrics,
        pulse: Pulse,
        stopped: threading.Event,
    ) -> None:
        self._settings = knowledge.settings
        self._database = knowledge.catalogue.database
        self._todo = todo
        self._job = job
        self._request = Request.model_validate_json(job.request)
        self._cutting = cutting_of(knowledge.settings, self._request.about)
        self._writer = writer
        self._metrics = metrics
        self._pulse = pulse
        self._stopped = stopped
        self._batch = Batch()
        self._began = self._synced = time.monotonic()

    def work(self) -> None:
        self._plan()
        with Parser(self._settings) as parser:
            for items in self._waiting("move"):
                self._all_at_once(items, "moved", self._move)
            for items in self._waiting("read"):
                self._read_all(items, parser)
            self._flush()
        self._pulse.stage, self._pulse.current = "removing", ""
        for items in self._waiting("remove"):
            self._all_at_once(items, "withdrawn", self._remove)
        self._sync()

    # -- what is to be done -------------------------------------------------------------------

    def _plan(self) -> None:
        """Look first, then write: others may write while a large folder is looked at."""
        job, request = self._job, self._request
        made = None
        if job.kind == "folders" and job.scan:
            found = scan(request.paths)
            recipe = self._cutting.file_recipe
            made = self._database.read(lambda db: plan.make(db, job, request, found, recipe))
            plan.check_vanished(made, found, request, self._settings.knowledge_vanished_share)
        self._database.write(lambda db: plan.write(db, job, made))

    def _waiting(self, action: str) -> Iterator[list[Item]]:
        """The job's files that wait, page by page."""
        after = 0
        while items := self._todo.items(
            self._job.id, states=("waiting",), action=action, after=after, limit=PAGE
        ):
            after = items[-1].id
            yield items

    # -- reading ------------------------------------------------------------------------------

    def _read_all(self, items: Sequence[Item], parser: Parser) -> None:
        self._pulse.stage = "reading"
        known = self._rows(items)
        for item in items:
            self._check()
            self._pulse.current = item.name
            self._read(item, known[item.file_id], parser)

    def _read(self, item: Item, row: sa.Row[Any], parser: Parser) -> None:
        """All documents of a file, or none and a reason."""
        reading = Reading(item, Facts(Path(item.location), ""))
        try:
            with bytes_of(self._settings, self._job, item, row, self._cutting.file_recipe) as facts:
                reading.facts = facts
                if self._is_same(facts, row):
                    reading.documents = row.documents
                    self._settle(reading, "unchanged")
                else:
                    self._store(reading, row, parser)
        except Unreadable as error:
            self._settle(reading, "refused", str(error))
        except OSError as error:
            self._settle(reading, "refused", _reason(error))

    def _is_same(self, facts: Facts, row: sa.Row[Any]) -> bool:
        same = (row.hash, row.recipe) == (facts.hash, self._cutting.file_recipe)
        return same and not row.reason

    def _store(self, reading: Reading, row: sa.Row[Any], parser: Parser) -> None:
        """Read to the end first: a file that fails in the middle keeps its old version."""
        facts = reading.facts
        reading.mark = digest_of(facts.hash, self._cutting.file_recipe)
        reading.is_new = not (row.hash or row.documents or reading.item.stored)
        skip = reading.item.stored if reading.item.hash == reading.mark else 0
        if skip:
            item = reading.item
            reading.stored, reading.documents = skip, item.documents
            reading.changed, reading.passages = item.changed, item.passages
        with closing(
            spooled(self._documents(facts, row.source_id, parser), self._settings.data_dir)
        ) as spool:
            reading.total = next(spool)
            for number, document in enumerate(spool):
                reading.sources.add(document.source_id)
                if number >= skip:
                    self._add(reading, document)
        self._settle(reading, "indexed")

    def _documents(self, facts: Facts, source_id: str, parser: Parser) -> Iterator[Document]:
        about = self._request.about
        for document in parser.documents(facts.path, source_id):
            self._check()
            yield described(document, facts, about)

    def _add(self, reading: Reading, document: Document) -> None:
        self._batch.add(reading, document)
        if (
            self._batch.documents >= self._settings.knowledge_batch_documents
            or self._batch.characters >= BATCH_CHARACTERS
        ):
            self._flush()

    def _settle(self, reading: Reading, outcome: str, reason: str = "") -> None:
        part = self._batch.part_of(reading)
        part.outcome, part.reason = outcome, reason
        late = time.monotonic() - self._began > SYNC_S
        if late or len(self._batch.parts) >= BATCH_FILES:
            self._flush()

    def _flush(self) -> None:
        """Commit the batch; then the index follows, and what was uploaded has done its duty."""
        batch, self._batch = self._batch, Batch()
        began, self._began = self._began, time.monotonic()
        if not batch.parts:
            return
        pieces = cut_all(batch, self._cutting.characters)
        job, cutting, seconds = self._job, self._cutting, time.monotonic() - began
        self._pulse.goes_on &= self._database.write(
            lambda db: commit(db, job, batch, cutting, pieces=pieces, seconds=seconds)
        )
        self._metrics.committed(batch, pieces, time.monotonic() - began)
        for part in batch.parts:
            if part.outcome in ("indexed", "unchanged"):
                uploads.done(self._settings, self._job.base, part.reading.item)
        if time.monotonic() - self._synced > SYNC_S:
            self._sync()
        self._check()

    def _sync(self) -> None:
        try:
            self._writer.sync()
        except (ValueError, OSError) as error:  # tantivy says the former when it cannot write
            log.error("job.index_failed", job=self._job.id, exc_info=error)
            raise Failed("The index cannot be written; is the disk full?") from error
        self._synced = time.monotonic()

    def _check(self) -> None:
        """Raises `Stopped` or `Cancelled`."""
        if self._stopped.is_set():
            raise Stopped
        if not self._pulse.goes_on:
            raise Cancelled

    # -- moving and removing ------------------------------------------------------------------

    def _all_at_once(self, items: Sequence[Item], outcome: str, change: "_Change") -> None:
        """One transaction for these files, which need not be read."""
        known = self._rows(items)

        def work(db: sa.Connection) -> None:
            names = plan.Names(db, self._job.base)
            for item in items:
                row = known.get(item.file_id)
                number = 0 if row is None else change(db, item, row, names)
                counted = {"withdrawn" if outcome == "withdrawn" else "documents": number}
                settled = sa.update(job_items).where(job_items.c.id == item.id)
                db.execute(settled.values(state=outcome, **counted))
            count(db, self._job.id)
            db.execute(sa.update(jobs).where(jobs.c.id == self._job.id).values(stalled=0))
            self._pulse.goes_on &= goes_on(db, self._job.id, self._job.owner)

        self._check()
        self._database.write(work)
        self._metrics.files.labels(outcome).inc(len(items))
        self._sync()

    def _move(self, db: sa.Connection, item: Item, row: sa.Row[Any], names: plan.Names) -> int:
        """Its time is not known here, so the next ingest takes its hash once."""
        source = names.free(item.location, item.name)
        moved = {"location": item.location, "source_id": source, "mtime_ns": -1}
        db.execute(sa.update(files).where(files.c.id == row.id).values(moved))
        return rename(db, row.id, row.source_id, source)

    def _remove(self, db: sa.Connection, _item: Item, row: sa.Row[Any], _names: object) -> int:
        return remove_file(db, row.id)

    def _rows(self, items: Sequence[Item]) -> dict[int | None, sa.Row[Any]]:
        found = sa.select(files).where(files.c.id.in_([item.file_id for item in items]))
        return self._database.read(lambda db: {row.id: row for row in db.execute(found)})


def remove_file(db: sa.Connection, number: int) -> int:
    """Forget a file and withdraw its documents; how many there were."""
    gone = take_back(db, documents.c.file_id == number)
    db.execute(sa.delete(files).where(files.c.id == number))
    return gone


def _reason(error: OSError | sa.exc.OperationalError) -> str:
    text = error.strerror or str(error) if isinstance(error, OSError) else str(error.orig)
    if "full" in text or "No space left" in text:
        return "The disk is full."
    if isinstance(error, OSError):
        return f"it cannot be opened: {text}"
    return "The catalogue cannot be written; the indexer's log says why."
