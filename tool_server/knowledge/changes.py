"""Changes to the catalogue inside a transaction: documents come, change, move and go; for `catalogue` and the jobs.

Each change has a number of its own, by which an index learns of it.
"""

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from tool_server.knowledge.bases import Profile
from tool_server.knowledge.document import Document, Piece, document_id, passage_id
from tool_server.knowledge.language import language_of
from tool_server.knowledge.rights import INHERITED
from tool_server.knowledge.schema import bases as profiles
from tool_server.knowledge.schema import document_values, documents, passages
from tool_server.knowledge.values import stored

# In the place of a digest: the document was taken back. Its row stays, so that its number tells the index.
WITHDRAWN = ""


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
    sequence = last_sequence(db)
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
            for number, row in enumerate(gone, start=last_sequence(db) + 1)
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
        for number, row in enumerate(rows, start=last_sequence(db) + 1)
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
        set_profile(db, base, Profile())


def set_profile(db: sa.Connection, base: str, profile: Profile) -> None:
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


def last_sequence(db: sa.Connection) -> int:
    return db.scalar(sa.select(sa.func.max(documents.c.sequence))) or 0
