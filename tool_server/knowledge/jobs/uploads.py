"""Uploaded files between their request and their parse: written to disk before they are acknowledged, removed after.

`<data_dir>/uploads/<token>/<number><suffix>`: nothing of a client's name but a known kind of suffix is used on disk.
"""

import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import sqlalchemy as sa
import structlog

from tool_server.database import Database
from tool_server.errors import BadRequest, TooLarge
from tool_server.files import sync_folder
from tool_server.knowledge.jobs.job import Item
from tool_server.knowledge.jobs.pages import DRAFTS
from tool_server.knowledge.jobs.queue import NewItem
from tool_server.knowledge.jobs.scan import NAME_LIMIT
from tool_server.knowledge.parse import Unreadable
from tool_server.knowledge.schema import job_items
from tool_server.settings import Settings

log = structlog.get_logger()

FOLDER = "uploads"
KEPT = "kept"
SUFFIX = re.compile(r"\.[a-z0-9]{1,10}")
# A file that no job knows is of a request that was cut off, once it is as old as no request gets.
ORPHAN_S = 3600.0
GONE = "it was removed after it was read; upload it again"


class Upload:
    """The files of one request, as they come in. Leave with `close`: what was not handed over is removed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir / FOLDER / secrets.token_hex(8)
        self._drafts: list[_Draft] = []
        self._kept = False

    def open(self, name: str) -> BinaryIO:
        """Where the next file is written to. Raises `BadRequest` where the name or the number is wrong."""
        if len(self._drafts) >= self._settings.knowledge_upload_files:
            limit = self._settings.knowledge_upload_files
            raise TooLarge(f"files: at most {limit} in one request.", param="files")
        self._folder.mkdir(parents=True, exist_ok=True)
        known = clean_name(name)
        suffix = PurePosixPath(known).suffix.lower()
        path = self._folder / f"{len(self._drafts)}{suffix if SUFFIX.fullmatch(suffix) else ''}"
        draft = _Draft(path, known, self._settings.knowledge_file_limit)
        self._drafts.append(draft)
        return draft  # type: ignore[return-value]  # as much of a file as a form's parser uses

    def items(self, prefix: str) -> list[NewItem]:
        """The files, on disk for good. Raises `BadRequest` where two have one name."""
        names = [f"{prefix}{draft.name}" for draft in self._drafts]
        if len(set(names)) < len(names):
            raise BadRequest("files: two of them have the same name.", param="files")
        for draft in self._drafts:
            draft.finish()
        if self._drafts:
            for folder in (self._folder, self._folder.parent, self._settings.data_dir):
                sync_folder(folder)
        root = self._settings.data_dir
        return [
            NewItem(f"upload:{name}", name, draft.size, draft.path.relative_to(root).as_posix())
            for name, draft in zip(names, self._drafts, strict=True)
        ]

    def hand_over(self) -> None:
        """A job has them now."""
        self._kept = True

    def close(self) -> None:
        for draft in self._drafts:
            draft.close()
        if not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)


class _Draft:
    """One file that is being written; as much of a file as the form's parser needs."""

    def __init__(self, path: Path, name: str, limit: int) -> None:
        self.path = path
        self.name = name
        self.size = 0
        self._limit = limit
        self._file = path.open("xb")
        path.chmod(0o600)

    def write(self, content: bytes) -> int:
        self.size += len(content)
        if self.size > self._limit:
            raise TooLarge(f"{self.name}: a file may have {self._limit} bytes.", param="files")
        return self._file.write(content)

    def seek(self, _offset: int, _whence: int = 0) -> int:
        """The parser rewinds what it has written; nobody reads it here."""
        return 0

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        self._file.close()


def clean_name(given: str) -> str:
    """A name as it is shown and known: no folders, no control characters. Raises `BadRequest`."""
    name = unicodedata.normalize("NFC", given.replace("\\", "/").rpartition("/")[2])
    name = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in name).strip()
    if not name or name.strip(".") == "" or len(name) > NAME_LIMIT // 2:
        raise BadRequest(
            f"files: each needs a name of at most {NAME_LIMIT // 2} characters.", param="files"
        )
    return name


def clean_prefix(given: str) -> str:
    """A folder's name before the files' names, with its slash; empty for none. Raises `BadRequest`."""
    parts = [part for part in given.replace("\\", "/").split("/") if part.strip()]
    if any(part.strip(". ") == "" for part in parts) or len(given) > NAME_LIMIT // 2:
        raise BadRequest(
            f"prefix: names of folders, at most {NAME_LIMIT // 2} characters.", param="prefix"
        )
    return "".join(f"{clean_name(part)}/" for part in parts)


def path_of(settings: Settings, item: Item) -> Path:
    """Where an upload lies. Raises `Unreadable` where it does no longer."""
    path = settings.data_dir / item.path
    if not item.path or not path.is_file():
        raise Unreadable(GONE)
    return path


def done(settings: Settings, base: str, item: Item) -> None:
    """An upload that was read goes, or is kept below its base and the number of its file."""
    if not item.path:
        return
    path = settings.data_dir / item.path
    try:
        if settings.knowledge_upload_keep:
            kept = settings.data_dir / FOLDER / KEPT / base / f"{item.file_id}{path.suffix}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            path.replace(kept)
        else:
            path.unlink(missing_ok=True)
        path.parent.rmdir()  # once it is empty
    except OSError as error:
        log.debug("upload.left", reason=error.strerror)


def forget(settings: Settings, base: str, file_id: int) -> None:
    """The file was deleted: what was kept of it goes as well."""
    for path in (settings.data_dir / FOLDER / KEPT / base).glob(f"{file_id}.*"):
        path.unlink(missing_ok=True)


def sweep(settings: Settings, database: Database, now: Callable[[], float] = time.time) -> int:
    """Remove what killed requests and jobs that are forgotten left behind; how many files there were."""
    found = sa.select(job_items.c.path).where(
        job_items.c.path != "", job_items.c.state.in_(("waiting", "refused", "cancelled"))
    )
    needed = database.read(lambda db: set(db.scalars(found)))
    gone = 0
    for name in (FOLDER, DRAFTS):
        for path in (settings.data_dir / name).glob("*/*"):
            if path.is_dir() or path.relative_to(settings.data_dir).as_posix() in needed:
                continue
            if now() - path.stat().st_mtime > ORPHAN_S:
                path.unlink(missing_ok=True)
                gone += 1
    for folder in (settings.data_dir / FOLDER).glob("*"):
        if now() - folder.stat().st_mtime > ORPHAN_S and not any(folder.iterdir()):
            folder.rmdir()
    return gone
