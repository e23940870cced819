"""What one commit of a job carries: documents of one or several files, and what became of those files."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tool_server.knowledge.changes import store, take_back
from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import Document, Piece
from tool_server.knowledge.jobs.job import Item, Job
from tool_server.knowledge.jobs.queue import goes_on
from tool_server.knowledge.schema import documents, files, job_items, jobs

REASON_LIMIT = 500
SUMS = ("documents", "changed", "withdrawn", "passages")


class LostJob(Exception):
    """Another process has this job now; nothing of the batch is kept."""


@dataclass(frozen=True)
class Facts:
    """The bytes of a file as they were read: where they lie now, and what tells whether they have changed."""

    path: Path
    stem: str  # of the name that people know; `path` may be a draft's
    size: int = 0
    mtime_ns: int = -1
    hash: str = ""
    etag: str = ""
    modified: str = ""
    url: str = ""


@dataclass
class Reading:
    """One file while it is read: what is committed of it, and all source ids that it has."""

    item: Item
    facts: Facts
    is_new: bool = True  # nothing of it was ever stored
    mark: str = ""
    total: int = 0  # documents that it has
    stored: int = 0
    documents: int = 0
    changed: int = 0
    withdrawn: int = 0
    passages: int = 0
    sources: set[str] = field(default_factory=set)
    told: dict[str, int] = field(default_factory=dict)  # what its job has counted of it already

    def __post_init__(self) -> None:
        self.told = {name: getattr(self.item, name) for name in SUMS}
        self.told |= {"bytes_total": self.item.size, "bytes_done": 0, "bytes_read": 0}

    def news(self, outcome: str) -> dict[str, int]:
        """What its job has to add to its sums."""
        size = self.facts.size or self.item.size
        done = size if outcome else size * self.stored // max(1, self.total)
        now = {name: getattr(self, name) for name in SUMS}
        now |= {"bytes_total": size, "bytes_done": done}
        now["bytes_read"] = 0 if outcome == "unchanged" else done
        added = {name: value - self.told[name] for name, value in now.items()}
        self.told = now
        return added


@dataclass
class Part:
    """Documents of one file in one batch; with an outcome where it is the file's last part."""

    reading: Reading
    documents: list[Document] = field(default_factory=list)
    outcome: str = ""
    reason: str = ""


@dataclass
class Batch:
    """Parts until they are enough for a commit."""

    parts: list[Part] = field(default_factory=list)
    documents: int = 0
    characters: int = 0

    def part_of(self, reading: Reading) -> Part:
        if not self.parts or self.parts[-1].reading is not reading:
            self.parts.append(Part(reading))
        return self.parts[-1]

    def add(self, reading: Reading, document: Document) -> None:
        self.part_of(reading).documents.append(document)
        self.documents += 1
        self.characters += sum(len(section.text) for section in document.sections)


@dataclass(frozen=True)
class Cutting:
    """How passages are made: their length, and a word that changes with whatever changes them."""

    characters: int
    recipe: str
    file_recipe: str  # with what was said about the files


def commit(
    db: sa.Connection,
    job: Job,
    batch: Batch,
    cutting: Cutting,
    *,
    pieces: Mapping[str, list[Piece]],
    seconds: float,
) -> bool:
    """Documents, their files and the job's progress, in one transaction; whether the job shall go on.

    `seconds`: how long the batch took. Raises `LostJob`.
    """
    owned = sa.select(jobs.c.id).where(jobs.c.id == job.id, jobs.c.owner == job.owner)
    if db.scalar(owned.where(jobs.c.state == "running")) is None:
        raise LostJob
    given = [document for part in batch.parts for document in part.documents]
    file_of = {
        document.source_id: part.reading.item.file_id
        for part in batch.parts
        for document in part.documents
        if part.reading.item.file_id is not None
    }
    changed = store(db, job.base, given, pieces, recipe=cutting.recipe, file_of=file_of)
    sums: Counter[str] = Counter()
    for part in batch.parts:
        _advance(db, part, changed, pieces)
        _write_item(db, part)
        if part.outcome:
            _write_file(db, part, cutting)
        else:
            _open_file(db, part)
        sums.update(part.reading.news(part.outcome))
        sums["files_done"] += bool(part.outcome)
        sums["files_refused"] += part.outcome == "refused"
    added: dict[str, Any] = {name: jobs.c[name] + value for name, value in sums.items()}
    added["worked_s"] = jobs.c.worked_s + seconds
    now: dict[str, Any] = {"heartbeat_at": time.time(), "stalled": 0, "stage": "reading"}
    now["current"] = batch.parts[-1].reading.item.name
    db.execute(sa.update(jobs).where(jobs.c.id == job.id).values(**added, **now))
    return goes_on(db, job.id, job.owner)


def cut_all(batch: Batch, limit: int) -> dict[str, list[Piece]]:
    """The passages of a batch's documents, by source id."""
    return {
        document.source_id: cut(document, limit)
        for part in batch.parts
        for document in part.documents
    }


def _advance(
    db: sa.Connection, part: Part, changed: set[str], pieces: Mapping[str, list[Piece]]
) -> None:
    """Count a part's documents; after a file's last one, what it no longer holds goes."""
    reading = part.reading
    reading.stored += len(part.documents)
    reading.documents += len(part.documents)
    reading.changed += sum(document.source_id in changed for document in part.documents)
    reading.passages += sum(len(pieces[document.source_id]) for document in part.documents)
    if part.outcome == "indexed" and not reading.is_new:
        of_file = documents.c.file_id == reading.item.file_id
        reading.withdrawn += take_back(db, of_file, reading.sources)


def _write_item(db: sa.Connection, part: Part) -> None:
    reading = part.reading
    row: dict[str, Any] = {"hash": reading.mark, "stored": reading.stored}
    row |= {name: getattr(reading, name) for name in SUMS}
    if part.outcome:
        row |= {"state": part.outcome, "reason": part.reason[:REASON_LIMIT]}
        row["size"] = reading.facts.size or reading.item.size
    db.execute(sa.update(job_items).where(job_items.c.id == reading.item.id).values(row))


def _open_file(db: sa.Connection, part: Part) -> None:
    """From its first batch to its last a file is neither its old version nor its new one, whoever reads it next."""
    row = {"hash": "", "size": -1, "documents": max(1, part.reading.stored)}
    db.execute(sa.update(files).where(files.c.id == part.reading.item.file_id).values(row))


def _write_file(db: sa.Connection, part: Part, cutting: Cutting) -> None:
    """What is known of the file from now on; a refused one keeps what its last good version was."""
    reading, facts = part.reading, part.reading.facts
    row: dict[str, Any] = {"reason": part.reason[:REASON_LIMIT], "updated_at": time.time()}
    if part.outcome != "refused":
        row |= {"size": facts.size, "mtime_ns": facts.mtime_ns, "hash": facts.hash}
        row |= {"etag": facts.etag, "modified": facts.modified, "recipe": cutting.file_recipe}
    if part.outcome == "indexed":
        row |= {"documents": reading.documents, "passages": reading.passages}
    db.execute(sa.update(files).where(files.c.id == reading.item.file_id).values(row))
