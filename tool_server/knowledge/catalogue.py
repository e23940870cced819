"""The catalogue: which documents there are, their passages, in which order they changed. The truth behind the index."""

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from tool_server.database import Database
from tool_server.knowledge.bases import Profile, read_profile
from tool_server.knowledge.conditions import documents_of, meant
from tool_server.knowledge.document import (
    Document,
    Piece,
    StoredDocument,
    StoredPassage,
    Value,
    document_id,
    passage_id,
)
from tool_server.knowledge.filters import Filter
from tool_server.knowledge.language import language_of
from tool_server.knowledge.misses import Misses
from tool_server.knowledge.pins import Pins
from tool_server.knowledge.rights import INHERITED, read_access
from tool_server.knowledge.schema import bases as profiles
from tool_server.knowledge.schema import document_values, documents, passages
from tool_server.knowledge.values import stored
from tool_server.settings import Settings

# How long the passages of an old version stay after the index has turned to the new one: a search that began before has
# ended by then.
GRACE_S = 60.0
# In the place of a digest: the document was taken back. Its row stays, so that its number tells the index.
WITHDRAWN = ""


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
        self._database.write(lambda db: _set_profile(db, base, profile))

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


def store(
    db: sa.Connection,
    base: str,
    batch: Sequence[Document],
    pieces: Mapping[str, Sequence[Piece]],
    *,
    recipe: str = "",
    file_of: Mapping[str, int] | None = None,
) -> set[str]:
    """Exchange what has changed in a batch, one statement per table; the source ids of what changed.

    `file_of` says from which row of `files` a document was made, `recipe` how its passages were.
    """
    given = {document.source_id: document for document in batch}
    held = {row.source_id: row for row in db.execute(_held(base, given))}
    digests = {source: document.digest(recipe) for source, document in given.items()}
    changed = {
        source: document
        for source, document in given.items()
        if source not in held or held[source].digest != digests[source]
    }
    if not changed:
        return set()
    _make_base(db, base)
    sequence = _last_sequence(db)
    keys = _keys(db, base, changed, held, sequence)
    _retire(db, [held[source].id for source in changed if source in held])
    versions = {source: held[source].version + 1 if source in held else 1 for source in changed}
    rows = [
        _document_row(keys[source], base, document, versions[source], sequence + at)
        | {"digest": digests[source], "file_id": (file_of or {}).get(source)}
        for at, (source, document) in enumerate(changed.items(), start=1)
    ]
    _write(db, documents, [row for row in rows if row["source_id"] not in held])
    _rewrite(db, [row for row in rows if row["source_id"] in held])
    parts = [_passage_rows(keys[source], versions[source], pieces[source]) for source in changed]
    _write(db, passages, [row for part in parts for row in part])
    values = [_value_rows(keys[source], document) for source, document in changed.items()]
    _write(db, document_values, [row for part in values for row in part])
    return set(changed)


def take_back(db: sa.Connection, which: sa.ColumnElement[bool], keep: Collection[str] = ()) -> int:
    """Withdraw the documents that `which` selects, but those whose source id is in `keep`; how many there were."""
    found = sa.select(documents.c.id, documents.c.source_id, documents.c.version)
    found = found.where(documents.c.digest != WITHDRAWN, which)
    gone = [row for row in db.execute(found) if row.source_id not in keep]
    _retire(db, [row.id for row in gone])
    _rewrite(
        db,
        [
            {"id": row.id, "digest": WITHDRAWN, "version": row.version + 1, "sequence": number}
            | {"file_id": None}
            for number, row in enumerate(gone, start=_last_sequence(db) + 1)
        ],
    )
    return len(gone)


def rename(db: sa.Connection, file_id: int, before: str, after: str) -> int:
    """The documents of a file that has moved: ids and passages stay, source ids and titles that name it follow.

    One change each, so that a search meets a document under its old name or its new one. Returns their number.
    """
    found = sa.select(documents.c.id, documents.c.source_id, documents.c.title)
    rows = db.execute(found.where(documents.c.file_id == file_id, documents.c.digest != WITHDRAWN))
    old, new = PurePosixPath(before).stem, PurePosixPath(after).stem
    changed = [
        {
            "id": row.id,
            "source_id": after + row.source_id.removeprefix(before),
            "title": new[:500] if row.title == old[:500] else row.title,
            "sequence": number,
        }
        for number, row in enumerate(rows, start=_last_sequence(db) + 1)
    ]
    _rewrite(db, changed)
    return len(changed)


def _held(base: str, sources: Collection[str]) -> sa.Select[Any]:
    found = sa.select(
        documents.c.id, documents.c.source_id, documents.c.digest, documents.c.version
    )
    return found.where(documents.c.base == base, documents.c.source_id.in_(sources))


def _keys(
    db: sa.Connection,
    base: str,
    sources: Collection[str],
    held: Mapping[str, sa.Row[Any]],
    sequence: int,
) -> dict[str, str]:
    """The document ids of these sources. A document that moved took its id with it: what comes after it has another."""
    made = {source: document_id(base, source) for source in sources if source not in held}
    taken = set(db.scalars(sa.select(documents.c.id).where(documents.c.id.in_(made.values()))))
    for source, key in made.items():
        if key in taken:
            made[source] = document_id(base, f"{source}\n{sequence}")
    return {source: held[source].id for source in sources if source in held} | made


def _rewrite(db: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """New values for documents, each row with its `id`; all rows have the same columns."""
    if not rows:
        return
    columns = [name for name in rows[0] if name != "id"]
    change = sa.update(documents).where(documents.c.id == sa.bindparam("key"))
    change = change.values({name: sa.bindparam(f"new_{name}") for name in columns})
    values = [{"key": row["id"], **{f"new_{name}": row[name] for name in columns}} for row in rows]
    db.execute(change, values)


def _make_base(db: sa.Connection, base: str) -> None:
    if db.scalar(sa.select(profiles.c.name).where(profiles.c.name == base)) is None:
        _set_profile(db, base, Profile())


def _set_profile(db: sa.Connection, base: str, profile: Profile) -> None:
    text = profile.model_dump_json(exclude_defaults=True)
    row = insert(profiles).values(name=base, profile=text)
    db.execute(row.on_conflict_do_update(index_elements=["name"], set_={"profile": text}))


def _write(db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        db.execute(sa.insert(table), list(rows))


def _retire(db: sa.Connection, keys: Collection[str]) -> None:
    """The passages of these documents are old from now on."""
    if not keys:
        return
    old = sa.update(passages).where(
        passages.c.document_id.in_(keys), passages.c.retired_at.is_(None)
    )
    db.execute(old.values(retired_at=time.time()))
    db.execute(sa.delete(document_values).where(document_values.c.document_id.in_(keys)))


def _document_row(
    key: str, base: str, document: Document, version: int, sequence: int
) -> dict[str, Any]:
    return {
        "id": key,
        "base": base,
        "source_id": document.source_id,
        "title": document.title[:500],
        "url": document.url[:1000],
        "language": language_of(document),
        "access": json.dumps(document.access or [INHERITED], ensure_ascii=False),
        "metadata": json.dumps(dict(document.metadata), ensure_ascii=False),
        "version": version,
        "sequence": sequence,
        "updated_at": time.time(),
    }


def _passage_rows(key: str, version: int, pieces: Sequence[Piece]) -> Iterable[dict[str, Any]]:
    return [
        {
            "id": passage_id(key, version, ordinal),
            "document_id": key,
            "version": version,
            "ordinal": ordinal,
            "section": piece.section,
            "page": piece.page,
            "heading": piece.heading[:500],
            "text": piece.text,
        }
        for ordinal, piece in enumerate(pieces)
    ]


def _value_rows(key: str, document: Document) -> Iterable[dict[str, Any]]:
    return [
        {
            "document_id": key,
            "name": name,
            "text": value.text,
            "folded": value.folded,
            "number": value.number,
            "time": value.time,
        }
        for name, value in stored(document.metadata).items()
    ]


def _last_sequence(db: sa.Connection) -> int:
    return db.scalar(sa.select(sa.func.max(documents.c.sequence))) or 0
