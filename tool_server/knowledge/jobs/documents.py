"""The documents of a base as an editor sees them: what is indexed, what was refused and why; and taking one back."""

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from tool_server.database import Database
from tool_server.errors import NotFound
from tool_server.knowledge.changes import WITHDRAWN, take_back
from tool_server.knowledge.schema import documents, files, passages

# Begins the id of a file that never became a document.
FILE = "file-"
UNKNOWN = "There is no document {!r}."


@dataclass(frozen=True)
class Listed:
    """A document, or a file that never became one; `reason`: why its newest version was refused."""

    id: str
    source_id: str
    title: str
    url: str
    state: str  # indexed, refused
    passages: int
    reason: str
    updated_at: float

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Gone:
    """A document that was taken back; its file too, where it had no other."""

    base: str
    file_id: int | None


def list_documents(
    database: Database, base: str, *, state: str = "", after: str = "", limit: int = 100
) -> list[Listed]:
    """Documents and refused files of a base whose source id comes after `after`, in that order."""
    both = sa.union_all(_indexed(base, after, limit), _refused(base, after, limit)).subquery()
    found = sa.select(both).order_by(both.c.source_id).limit(limit)
    if state:
        found = found.where(both.c.state == state)
    return database.read(lambda db: [Listed(**row._mapping) for row in db.execute(found)])


def delete_document(database: Database, document: str) -> Gone:
    """Withdraw a document: it is found no longer. Raises `NotFound`.

    One that comes from a folder comes back with the next ingest of the folder, unless it is removed there too.
    """

    def work(db: sa.Connection) -> Gone:
        if document.startswith(FILE):
            return _forget_file(db, document.removeprefix(FILE))
        known = sa.select(documents.c.base, documents.c.file_id).where(
            documents.c.id == document, documents.c.digest != WITHDRAWN
        )
        row = db.execute(known).first()
        if row is None:
            raise NotFound(UNKNOWN.format(document[:64]))
        take_back(db, documents.c.id == document)
        if row.file_id is None:
            return Gone(row.base, None)
        others = sa.select(documents.c.id).where(documents.c.file_id == row.file_id)
        if db.scalar(others.limit(1)) is not None:
            # With another hash its file is read anew next time, as if it had changed.
            db.execute(sa.update(files).where(files.c.id == row.file_id).values(hash="", size=-1))
            return Gone(row.base, None)
        db.execute(sa.delete(files).where(files.c.id == row.file_id))
        return Gone(row.base, row.file_id)

    return database.write(work)


def _forget_file(db: sa.Connection, number: str) -> Gone:
    """A file that was refused and never became a document is no longer listed. Raises `NotFound`."""
    known = sa.select(files.c.id, files.c.base).where(sa.cast(files.c.id, sa.String) == number)
    row = db.execute(known.where(files.c.reason != "", ~_has_documents())).first()
    if row is None:
        raise NotFound(UNKNOWN.format(f"{FILE}{number[:32]}"))
    db.execute(sa.delete(files).where(files.c.id == row.id))
    return Gone(row.base, row.id)


def _has_documents() -> sa.ColumnElement[bool]:
    return sa.select(documents.c.id).where(documents.c.file_id == files.c.id).exists()


def _indexed(base: str, after: str, limit: int) -> sa.Select[tuple[object, ...]]:
    counted = sa.select(sa.func.count()).where(
        passages.c.document_id == documents.c.id, passages.c.retired_at.is_(None)
    )
    found: sa.Select[tuple[object, ...]] = sa.select(
        documents.c.id,
        documents.c.source_id,
        documents.c.title,
        documents.c.url,
        sa.literal("indexed").label("state"),
        counted.scalar_subquery().label("passages"),
        sa.func.coalesce(files.c.reason, "").label("reason"),
        documents.c.updated_at,
    )
    found = found.select_from(documents.outerjoin(files, documents.c.file_id == files.c.id))
    found = found.where(documents.c.base == base, documents.c.digest != WITHDRAWN)
    found = found.where(documents.c.source_id > after).order_by(documents.c.source_id)
    return sa.select(found.limit(limit).subquery())


def _refused(base: str, after: str, limit: int) -> sa.Select[tuple[object, ...]]:
    found: sa.Select[tuple[object, ...]] = sa.select(
        (sa.literal(FILE) + sa.cast(files.c.id, sa.String)).label("id"),
        files.c.source_id,
        files.c.source_id.label("title"),
        sa.literal("").label("url"),
        sa.literal("refused").label("state"),
        sa.literal(0).label("passages"),
        files.c.reason,
        files.c.updated_at,
    )
    found = found.where(files.c.base == base, files.c.reason != "", ~_has_documents())
    found = found.where(files.c.source_id > after).order_by(files.c.source_id)
    return sa.select(found.limit(limit).subquery())
