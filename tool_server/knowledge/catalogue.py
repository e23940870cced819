"""The catalogue: which documents there are, their passages, in which order they changed. The truth behind the index."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tool_server.database import Database
from tool_server.knowledge.bases import Profile, read_profile
from tool_server.knowledge.changes import WITHDRAWN, last_sequence, set_profile, store, take_back
from tool_server.knowledge.conditions import documents_of, meant
from tool_server.knowledge.document import (
    Document,
    Piece,
    StoredDocument,
    StoredPassage,
    Value,
)
from tool_server.knowledge.filters import Filter
from tool_server.knowledge.misses import Misses
from tool_server.knowledge.pins import Pins
from tool_server.knowledge.rights import read_access
from tool_server.knowledge.schema import bases as profiles
from tool_server.knowledge.schema import documents, passages
from tool_server.settings import Settings

# How long the passages of an old version stay after the index has turned to the new one: a search that began before has
# ended by then.
GRACE_S = 60.0


@dataclass(frozen=True)
class Base:
    """A knowledge base and its size."""

    name: str
    documents: int
    passages: int


@dataclass(frozen=True)
class Known:
    """What is set for a base, and how often its pins changed."""

    profile: Profile
    pins: int


@dataclass(frozen=True)
class Change:
    """A document whose passages the index has to take over."""

    document_id: str
    sequence: int


class Catalogue:
    """Documents and passages; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.pins = Pins(database)
        self.misses = Misses(database)

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
            .select_from(
                documents.outerjoin(
                    passages,
                    sa.and_(
                        passages.c.document_id == documents.c.id, passages.c.retired_at.is_(None)
                    ),
                )
            )
            .where(documents.c.digest != WITHDRAWN)
            .group_by(documents.c.base)
            .order_by(documents.c.base)
        )
        return self._database.read(lambda db: [Base(*row) for row in db.execute(counted)])

    def known(self) -> dict[str, Known]:
        """What is set for each base, by name: one that was set up or that ever had a document."""
        rows = sa.select(profiles.c.name, profiles.c.profile, profiles.c.pins)
        found = self._database.read(lambda db: db.execute(rows).all())
        read = ((name, read_profile(text), pins) for name, text, pins in found)
        return {name: Known(at, pins) for name, at, pins in read if at is not None}

    def profiles(self) -> dict[str, Profile]:
        """The profile of each base, by name."""
        return {name: known.profile for name, known in self.known().items()}

    def set_profile(self, base: str, profile: Profile) -> None:
        """Holds for the next search: an index knows nothing of it."""
        self._database.write(lambda db: set_profile(db, base, profile))

    @property
    def database(self) -> Database:
        """For what is kept beside the documents: the jobs of ingestion."""
        return self._database

    def put(
        self, base: str, batch: Sequence[Document], pieces: Mapping[str, Sequence[Piece]]
    ) -> int:
        """Store documents and their passages (by source id), each instead of its old version; how many changed."""
        return len(self._database.write(lambda db: store(db, base, batch, pieces)))

    def withdraw(self, base: str, prefix: str, keep: Collection[str] = ()) -> int:
        """Take back the documents whose source id begins with `prefix`, but those of `keep`; how many there were."""
        begins = sa.func.substr(documents.c.source_id, 1, len(prefix)) == prefix
        return self._database.write(
            lambda db: take_back(db, sa.and_(documents.c.base == base, begins), keep)
        )

    def passages(self, ids: Collection[str], *, around: int = 0) -> dict[str, StoredPassage]:
        """The passages of these ids and, of the same section, up to `around` before and after each of them.

        One that has gone meanwhile is left out, one of an old version not yet; neighbours are of the same version.
        """
        given = {"ids": list(ids), "around": around}
        return self._database.read(
            lambda db: {row.id: _stored(row) for row in db.execute(_NEAR, given)}
        )

    def passages_of(self, ids: Collection[str]) -> list[StoredPassage]:
        """All passages of these documents as they are now, each document's in its order."""
        mine = _STORED.where(passages.c.document_id.in_(ids), passages.c.retired_at.is_(None))
        found = mine.order_by(passages.c.document_id, passages.c.ordinal)
        return self._database.read(lambda db: [_stored(row) for row in db.execute(found)])

    def passages_from(self, document: str, ordinal: int, limit: int) -> list[StoredPassage]:
        """Passages of one document as it is now, from this ordinal on, in their order."""
        mine = _STORED.where(
            passages.c.document_id == document,
            passages.c.retired_at.is_(None),
            passages.c.ordinal >= ordinal,
        )
        found = mine.order_by(passages.c.ordinal).limit(limit)
        return self._database.read(lambda db: [_stored(row) for row in db.execute(found)])

    def documents(self, ids: Collection[str]) -> dict[str, StoredDocument]:
        """The documents of these ids; one that was taken back is not there."""
        found = _DOCUMENTS.where(documents.c.id.in_(ids), documents.c.digest != WITHDRAWN)
        return self._database.read(lambda db: {row.id: _document(row) for row in db.execute(found)})

    def at(self, url: str, most: int) -> list[StoredDocument]:
        """The first `most` documents whose address this is."""
        found = _DOCUMENTS.where(documents.c.url == url, documents.c.digest != WITHDRAWN)
        return self._database.read(
            lambda db: [_document(row) for row in db.execute(found.limit(most))]
        )

    def retired_of(self, ids: Collection[str]) -> list[str]:
        """Ids of the passages that older versions of these documents had, as far as they are still kept."""
        old = passages.c.document_id.in_(ids), passages.c.retired_at.is_not(None)
        found = sa.select(passages.c.id).where(*old)
        return self._database.read(lambda db: list(db.scalars(found)))

    def metadata(self, ids: Collection[str]) -> dict[str, dict[str, Value]]:
        """What is known about these documents, by id."""
        found = sa.select(documents.c.id, documents.c.metadata).where(documents.c.id.in_(ids))
        return self._database.read(
            lambda db: {row.id: json.loads(row.metadata) for row in db.execute(found)}
        )

    def matching(
        self, conditions: Filter, bases: Collection[str], *, opposite: bool = False
    ) -> list[str]:
        """Ids of the documents of these bases that the filter means, or with `opposite` of all the others."""
        by_hand = sa.literal_column("+documents.base", sa.String)  # not by its index: ids are fewer
        found = documents_of(conditions, opposite=opposite).where(
            by_hand.in_(bases), documents.c.digest != WITHDRAWN
        )
        return self._database.read(lambda db: list(db.scalars(found)))

    def meant(self, conditions: Filter, ids: Collection[str]) -> set[str]:
        """Which of these passages belong to documents that the filter means."""
        found = (
            sa.select(passages.c.id)
            .join(documents)
            .where(passages.c.id.in_(ids), meant(conditions))
        )
        return self._database.read(lambda db: set(db.scalars(found)))

    def prune(self, applied: int) -> int:
        """Remove the old passages of documents whose change the index holds; how many there were."""
        old = sa.select(passages.c.id).join(documents)
        old = old.where(
            passages.c.retired_at < time.time() - GRACE_S, documents.c.sequence <= applied
        )
        return self._database.write(
            lambda db: db.execute(sa.delete(passages).where(passages.c.id.in_(old))).rowcount
        )

    def passage_count(self) -> int:
        counted = (
            sa.select(sa.func.count()).select_from(passages).where(passages.c.retired_at.is_(None))
        )
        return self._database.read(lambda db: db.scalar(counted)) or 0

    def sequence(self) -> int:
        """The number of the last change."""
        return self._database.read(last_sequence)

    def changes(self, after: int, limit: int) -> list[Change]:
        """Documents that changed after `after`, oldest first."""
        found = (
            sa.select(documents.c.id, documents.c.sequence)
            .where(documents.c.sequence > after)
            .order_by(documents.c.sequence)
            .limit(limit)
        )
        return self._database.read(lambda db: [Change(*row) for row in db.execute(found)])


_DOCUMENTS = sa.select(
    documents.c.id,
    documents.c.base,
    documents.c.source_id,
    documents.c.title,
    documents.c.url,
    documents.c.language,
    documents.c.access,
    documents.c.metadata,
)


def _document(row: sa.Row[Any]) -> StoredDocument:
    values = dict(row._mapping)
    read = {"access": tuple(json.loads(row.access)), "metadata": json.loads(row.metadata)}
    return StoredDocument(**{**values, **read})


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
    passages.c.section,
    passages.c.page,
    documents.c.language,
    documents.c.access,
    documents.c.metadata,
).join(documents)


def _near() -> sa.Select[Any]:
    """The passages `ids` and those `around` them, built once: putting a statement together takes its time."""
    hit = passages.alias("hit")
    around = sa.bindparam("around", type_=sa.Integer)
    near = sa.and_(
        passages.c.document_id == hit.c.document_id,
        passages.c.ordinal.between(hit.c.ordinal - around, hit.c.ordinal + around),
        passages.c.version == hit.c.version,
        passages.c.section == hit.c.section,
    )
    joined = hit.join(passages, near).join(documents, documents.c.id == passages.c.document_id)
    return (
        sa.select(*_STORED.selected_columns)
        .select_from(joined)
        .where(hit.c.id.in_(sa.bindparam("ids", expanding=True)), documents.c.digest != WITHDRAWN)
    )


_NEAR = _near()


def _stored(row: sa.Row[Any]) -> StoredPassage:
    values = list(row)
    values[-2:] = read_access(values[-2]), json.loads(values[-1])
    return StoredPassage(*values)


def url_of(settings: Settings) -> str:
    """Where the catalogue lives: a file of its own, so that a large ingest never holds up the ledger."""
    return f"sqlite:///{Path(settings.data_dir).absolute() / 'catalogue.db'}"
