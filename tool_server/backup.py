"""Backup and restore: both databases and the uploads in one tar, with a manifest; called by `backup_commands`.

Not in it: `keys.json` and `secret.key`, which open what the rest protects, and the index, which is made anew.
"""

import contextlib
import hashlib
import io
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Annotated

import alembic.script
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tool_server.files import INSTALLATION
from tool_server.key_file import DIGEST
from tool_server.knowledge.jobs.uploads import FOLDER as UPLOADS
from tool_server.metrics import VERSION
from tool_server.migrate import CATALOGUE, LEDGER

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 64 * 1024 * 1024
FORMAT = 1
DATABASES = {"shenqiao.db": LEDGER, "catalogue.db": CATALOGUE}
APART = ("keys.json", "secret.key")
CHUNK = 1024 * 1024


class BackupError(Exception):
    """It cannot be done; the sentence says why."""


class Manifest(BaseModel):
    """What is in a backup: each member's SHA-256, and the revision of each database's tables."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    version: str
    made_at: float
    revisions: dict[str, str]
    members: dict[str, Annotated[str, StringConstraints(pattern=DIGEST)]]


def backup(data_dir: Path, target: Path) -> Manifest:
    """Copy an installation while it runs; the archive appears whole or not at all. Raises `BackupError`."""
    if target.exists():
        raise BackupError(f"{target} exists already.")
    draft = target.with_name(target.name + ".part")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            held = Path(folder)
            sources = dict(_uploads(data_dir, held))  # before: what is read meanwhile goes
            sources |= dict(_databases(data_dir, held))
            sources |= dict(_uploads(data_dir, held))  # and after: what came meanwhile
            manifest = _manifest(sources)
            with tarfile.open(draft, "w") as archive:
                _add_manifest(archive, manifest)
                for name, path in sources.items():
                    archive.add(path, name, recursive=False)
        draft.chmod(0o600)
        draft.replace(target)
    except OSError as error:
        raise BackupError(f"{error.filename or target}: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def restore(source: Path, data_dir: Path) -> Manifest:
    """Fill an empty data folder from a backup, all of it or nothing. Raises `BackupError`."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise BackupError(f"{data_dir} is not empty; a restore never overwrites.")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            tarfile.open(source, "r:") as archive,
            tempfile.TemporaryDirectory(dir=data_dir.parent) as folder,
        ):
            manifest = _read_manifest(archive)
            filled = Path(folder, "data")
            filled.mkdir(mode=0o700)
            _extract(archive, manifest, filled)
            _release_jobs(filled / "catalogue.db")
            if data_dir.exists():
                data_dir.rmdir()
            filled.rename(data_dir)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{source} is no backup: {error}.") from None
    except OSError as error:
        raise BackupError(f"{error.filename or source}: {error.strerror}.") from None
    return manifest


def _databases(data_dir: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """A consistent copy of each database, by SQLite's own backup, while writers go on; the installation's name."""
    for name in DATABASES:
        live = data_dir / name
        if not live.exists():
            continue
        copy = folder / name
        with (
            closing(sqlite3.connect(f"file:{live}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(copy)) as fresh,
        ):
            original.backup(fresh)
            fresh.execute("PRAGMA journal_mode=DELETE")
        yield name, copy
    if not any((folder / name).exists() for name in DATABASES):
        raise BackupError(f"There is no installation in {data_dir}.")
    if (data_dir / INSTALLATION).exists():
        yield INSTALLATION, data_dir / INSTALLATION


def _uploads(data_dir: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """What waits to be read, and what is kept; held on to, because a job may remove it at any moment."""
    for path in sorted((data_dir / UPLOADS).rglob("*")):
        held = folder / path.relative_to(data_dir)
        if held.exists() or path.is_symlink() or not path.is_file():
            continue
        held.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            try:
                held.hardlink_to(path)
            except OSError:  # on another disk
                shutil.copyfile(path, held)
            yield path.relative_to(data_dir).as_posix(), held


def _manifest(sources: dict[str, Path]) -> Manifest:
    return Manifest(
        format=FORMAT,
        version=VERSION,
        made_at=time.time(),
        revisions={name: _revision(path) for name, path in sources.items() if name in DATABASES},
        members={name: _hash_of(path) for name, path in sources.items()},
    )


def _revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(revision)


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add_manifest(archive: tarfile.TarFile, manifest: Manifest) -> None:
    body = manifest.model_dump_json(indent=2).encode()
    entry = tarfile.TarInfo(MANIFEST)
    entry.size = len(body)
    archive.addfile(entry, io.BytesIO(body))


def _read_manifest(archive: tarfile.TarFile) -> Manifest:
    """The first member. Raises `BackupError` where this version cannot read the backup."""
    entry = archive.next()
    file = archive.extractfile(entry) if entry is not None and entry.isfile() else None
    if entry is None or file is None or entry.name != MANIFEST or entry.size > MANIFEST_LIMIT:
        raise BackupError("It has no manifest: it is no backup of ours.")
    try:
        manifest = Manifest.model_validate_json(file.read())
    except ValidationError:
        raise BackupError("Its manifest is damaged.") from None
    if manifest.format != FORMAT:
        raise BackupError(f"It has the format {manifest.format}; this version reads {FORMAT}.")
    for name, revision in manifest.revisions.items():
        if revision not in _known_revisions(name):
            raise BackupError(f"It was made by a newer version ({manifest.version}): {name}.")
    return manifest


def _known_revisions(database: str) -> set[str]:
    scripts = DATABASES.get(database)
    if scripts is None:
        return set()
    folder = alembic.script.ScriptDirectory(str(scripts))
    return {script.revision for script in folder.walk_revisions()}


def _extract(archive: tarfile.TarFile, manifest: Manifest, folder: Path) -> None:
    """Members one by one: plain files that the manifest names, at places that are ours. Raises `BackupError`."""
    missing = dict(manifest.members)
    while (entry := archive.next()) is not None:
        expected = missing.pop(entry.name, None)
        if expected is None or not entry.isfile() or not _is_ours(entry.name):
            raise BackupError(f"It holds {entry.name[:200]!r}, which no backup of ours has.")
        path = folder / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(entry)
        if content is None or _write(content, path) != expected:
            raise BackupError(f"{entry.name} is damaged: its SHA-256 is not the manifest's.")
    if missing:
        raise BackupError(f"{next(iter(missing))} is missing.")


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name).parts
    inside = ".." not in parts and not name.startswith("/") and "\\" not in name
    return name in (*DATABASES, INSTALLATION) or (inside and len(parts) > 1 and parts[0] == UPLOADS)


def _write(content: IO[bytes], path: Path) -> str:
    """Its SHA-256."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        path.chmod(0o600)
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _release_jobs(catalogue: Path) -> None:
    """A job that ran when the backup was made goes on here."""
    if not catalogue.exists():
        return
    with closing(sqlite3.connect(catalogue)) as connection, connection:
        connection.execute("UPDATE jobs SET state='queued', owner='' WHERE state='running'")
