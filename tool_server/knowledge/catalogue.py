"""The catalogue: which documents there are, their passages, in which order they changed. The truth behind the index."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tool_server.database import Database
from tool_server.knowledge.document import (
    BASE_NAME,
    Document,
    Section,
    StoredPassage,
    document_id,
    passage_id,
)
from tool_server.knowledge.schema import documents, passages
from tool_server.settings import Settings

# In the place of a digest: the document was taken back. Its row stays, so that its number tells the index.
WITHDRAWN = ""


@dataclass(frozen=True)
class Base:
    """A knowledge base and its size."""

    name: str
    documents: int
    passages: int


@dataclass(frozen=True)
class Change:
    """A document whose passages the index has to take over."""

    document_id: str
    sequence: int


class Catalogue:
    """Documents and passages; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, settings: Settings) -> "Catalogue":
        return cls(Database(url_of(settings)))

    def close(self) -> None:
        self._database.close()

    def bases(self) -> list[Base]:
        counted = (
            sa.select(
                documents.c.base,
                sa.func.count(sa.distinct(documents.c.id)),
                sa.func.count(passages.c.id),
            )
            .select_from(documents.outerjoin(passages))
            .where(documents.c.digest != WITHDRAWN)
            .group_by(documents.c.base)
            .order_by(documents.c.base)
        )
        return self._database.read(lambda db: [Base(*row) for row in db.execute(counted)])

    def has_base(self, name: str) -> bool:
        if not BASE_NAME.fullmatch(name):
            return False
        found = (
            sa.select(documents.c.id)
            .where(documents.c.base == name, documents.c.digest != WITHDRAWN)
            .limit(1)
        )
        return self._database.read(lambda db: db.scalar(found) is not None)

    def put(
        self, base: str, batch: Sequence[Document], pieces: Mapping[str, Sequence[Section]]
    ) -> int:
        """Store documents and their passages (by source id), each instead of its old version; how many changed."""
        return self._database.write(lambda db: _put(db, base, batch, pieces))

    def withdraw(self, base: str, prefix: str, keep: Collection[str]) -> int:
        """Take back the documents whose source id begins with `prefix`, but those of `keep`; how many there were."""
        return self._database.write(lambda db: _withdraw(db, base, prefix, keep))

    def passages(self, ids: Collection[str]) -> dict[str, StoredPassage]:
        """The passages of these ids; one that has gone meanwhile is left out."""
        found = _STORED.where(passages.c.id.in_(ids))
        return self._database.read(
            lambda db: {row.id: StoredPassage(**row._mapping) for row in db.execute(found)}
        )

    def passages_of(self, ids: Collection[str]) -> list[StoredPassage]:
        """All passages of these documents, each document's in its order."""
        mine = _STORED.where(passages.c.document_id.in_(ids))
        found = mine.order_by(passages.c.document_id, passages.c.ordinal)
        return self._database.read(
            lambda db: [StoredPassage(**row._mapping) for row in db.execute(found)]
        )

    def passage_count(self) -> int:
        counted = sa.select(sa.func.count()).select_from(passages)
        return self._database.read(lambda db: db.scalar(counted)) or 0

    def sequence(self) -> int:
        """The number of the last change."""
        return self._database.read(_last_sequence)

    def changes(self, after: int, limit: int) -> list[Change]:
        """Documents that changed after `after`, oldest first."""
        found = (
            sa.select(documents.c.id, documents.c.sequence)
            .where(documents.c.sequence > after)
            .order_by(documents.c.sequence)
            .limit(limit)
        )
        return self._database.read(lambda db: [Change(*row) for row in db.execute(found)])


_STORED = sa.select(
    passages.c.id,
    passages.c.document_id,
    documents.c.base,
    documents.c.source_id,
    documents.c.title.label("document_title"),
    documents.c.url,
    passages.c.heading,
    passages.c.ordinal,
    passages.c.text,
).join(documents)


def url_of(settings: Settings) -> str:
    """Where the catalogue lives: a file of its own, so that a large ingest never holds up the ledger."""
    return f"sqlite:///{Path(settings.data_dir).absolute() / 'catalogue.db'}"


def _put(
    db: sa.Connection,
    base: str,
    batch: Sequence[Document],
    pieces: Mapping[str, Sequence[Section]],
) -> int:
    """Exchange what has changed in a batch: one statement per table, however many documents."""
    keys = {document_id(base, document.source_id): document for document in batch}
    held = {
        row.id: row
        for row in db.execute(
            sa.select(documents.c.id, documents.c.digest, documents.c.version).where(
                documents.c.id.in_(keys)
            )
        )
    }
    changed = {
        key: document
        for key, document in keys.items()
        if key not in held or held[key].digest != document.digest()
    }
    if not changed:
        return 0
    sequence = _last_sequence(db)
    db.execute(sa.delete(passages).where(passages.c.document_id.in_(changed)))
    db.execute(sa.delete(documents).where(documents.c.id.in_(changed)))
    rows = [
        _document_row(key, base, document, held[key].version if key in held else 0, sequence + at)
        for at, (key, document) in enumerate(changed.items(), start=1)
    ]
    db.execute(sa.insert(documents), rows)
    parts = [
        row
        for key, document in changed.items()
        for row in _passage_rows(key, pieces[document.source_id])
    ]
    if parts:
        db.execute(sa.insert(passages), parts)
    return len(changed)


def _withdraw(db: sa.Connection, base: str, prefix: str, keep: Collection[str]) -> int:
    found = sa.select(documents.c.id, documents.c.source_id, documents.c.version).where(
        documents.c.base == base,
        documents.c.digest != WITHDRAWN,
        sa.func.substr(documents.c.source_id, 1, len(prefix)) == prefix,
    )
    gone = [row for row in db.execute(found) if row.source_id not in keep]
    for sequence, row in enumerate(gone, start=_last_sequence(db) + 1):
        db.execute(sa.delete(passages).where(passages.c.document_id == row.id))
        changed = {"digest": WITHDRAWN, "version": row.version + 1, "sequence": sequence}
        db.execute(sa.update(documents).where(documents.c.id == row.id).values(changed))
    return len(gone)


def _document_row(
    key: str, base: str, document: Document, version: int, sequence: int
) -> dict[str, Any]:
    return {
        "id": key,
        "base": base,
        "source_id": document.source_id,
        "title": document.title[:500],
        "url": document.url[:1000],
        "digest": document.digest(),
        "version": version + 1,
        "sequence": sequence,
        "updated_at": time.time(),
    }


def _passage_rows(key: str, pieces: Sequence[Section]) -> list[dict[str, Any]]:
    return [
        {
            "id": passage_id(key, ordinal),
            "document_id": key,
            "ordinal": ordinal,
            "heading": piece.heading[:500],
            "text": piece.text,
        }
        for ordinal, piece in enumerate(pieces)
    ]


def _last_sequence(db: sa.Connection) -> int:
    return db.scalar(sa.select(sa.func.max(documents.c.sequence))) or 0
