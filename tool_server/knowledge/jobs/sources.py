"""From a job's file to its documents: where its bytes lie, how it is known, what was said about it; used by `run`."""

import hashlib
import json
import pickle
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tool_server.knowledge.document import Document
from tool_server.knowledge.jobs import pages, plan, uploads
from tool_server.knowledge.jobs.batch import Cutting, Facts
from tool_server.knowledge.jobs.job import About, Item, Job
from tool_server.settings import Settings

# Raise it when `parse` or `cut` make something else of the same bytes: all files are read anew then.
FORMAT = 1
# Of a long file the documents wait in memory up to here, then on disk.
SPOOL_BYTES = 4 * 1024 * 1024


@contextmanager
def bytes_of(
    settings: Settings, job: Job, item: Item, row: sa.Row[Any], recipe: str
) -> Iterator[Facts]:
    """A file's bytes on this machine's disk; `row` is what is known of it. Raises `Unreadable` and `OSError`."""
    if job.kind == "folders":
        yield _facts(Path(item.location))
    elif job.kind == "upload":
        facts = _facts(uploads.path_of(settings, item))
        yield replace(facts, stem=Path(item.name).stem, mtime_ns=-1)
    else:
        usable = row.recipe == recipe and not row.reason
        validators = (row.etag, row.modified) if usable else ("", "")
        with pages.fetch(settings, item.location, validators) as page:
            yield _unchanged(row) if page is None else _facts_of(page)


def cutting_of(settings: Settings, about: About) -> Cutting:
    """What else than a file's bytes decides about its documents."""
    characters = settings.knowledge_passage_characters
    recipe = f"{FORMAT}-{characters}"
    said = about.model_dump_json(exclude_defaults=True)
    return Cutting(
        characters, recipe, recipe if said == "{}" else f"{recipe}-{digest_of(said)[:32]}"
    )


def described(document: Document, facts: Facts, about: About) -> Document:
    """With what was said about the file, and without the name of a draft."""
    title = about.title or document.title
    if title == facts.path.stem:
        title = facts.stem
    if title == document.title and not facts.url and about == About():
        return document
    return replace(
        document,
        title=title,
        url=about.url or document.url or facts.url,
        metadata={**document.metadata, **about.metadata},
        access=about.access or document.access,
    )


def spooled(found: Iterator[Document], folder: Path) -> Generator[Any]:
    """Their number, then the documents; read to the end before anything is given out."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=str(folder)) as spool:
        number = 0
        for document in found:
            pickle.dump(document, spool, pickle.HIGHEST_PROTOCOL)
            number += 1
        spool.seek(0)
        yield number
        for _ in range(number):
            yield pickle.load(spool)  # noqa: S301  (we wrote it a moment ago, nobody else can)


def _facts(path: Path) -> Facts:
    seen = path.stat()
    return Facts(path, path.stem, seen.st_size, seen.st_mtime_ns, plan.hash_file(str(path)))


def _facts_of(page: pages.Page) -> Facts:
    return replace(
        _facts(page.path),
        stem=page.stem,
        mtime_ns=-1,
        etag=page.etag,
        modified=page.modified,
        url=page.url,
    )


def _unchanged(row: sa.Row[Any]) -> Facts:
    """A page whose server says that it is as it was."""
    return Facts(Path(row.location), "", row.size, row.mtime_ns, row.hash, row.etag, row.modified)


def digest_of(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
