"""A package file as Dify reads it: a zip of named contents, its checksum and its identity; all of this folder uses it.

Contents are stored, not compressed: then the bytes depend on no version of a compressor, and what is large (wheels) is
compressed already.
"""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import yaml

MANIFEST = "manifest.yaml"
# Dify's daemon takes 50 MB uncompressed (MAX_PLUGIN_PACKAGE_SIZE).
LIMIT = 50 * 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3


class PackageError(Exception):
    """A package cannot be built, signed or read; the sentence says why."""


def write(path: Path, files: Mapping[str, bytes], comment: bytes = b"") -> None:
    """Write the contents in their order. Raises `PackageError` over Dify's size limit."""
    if sum(map(len, files.values())) > LIMIT:
        raise PackageError(f"{path.name} is over {LIMIT} bytes, which is all that Dify takes.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            archive.writestr(entry, content)
        archive.comment = comment


def read(path: Path) -> dict[str, bytes]:
    """The contents by name, in the zip's order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def checksum(files: Mapping[str, bytes]) -> str:
    """Dify's checksum: SHA-256 over the digests of names and contents, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(hashlib.sha256(name.encode()).digest())
        whole.update(hashlib.sha256(files[name]).digest())
    return whole.hexdigest()


def file_name(files: Mapping[str, bytes]) -> str:
    """`name-version`, without an ending."""
    manifest = yaml.safe_load(files[MANIFEST])
    return f"{manifest['name']}-{manifest['version']}"


def identity(files: Mapping[str, bytes]) -> str:
    """`author/name:version@checksum`: what Dify calls a package, and what an app's dependencies name."""
    manifest = yaml.safe_load(files[MANIFEST])
    return f"{manifest['author']}/{manifest['name']}:{manifest['version']}@{checksum(files)}"
