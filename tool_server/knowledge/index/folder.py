"""The index's folder, and which build in it is the current one; for `embedded`, which searches, and `writer`."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import tantivy

# What a build was made for; another value means that it has to be made anew.
FORMAT = f"4-{version('tantivy')}"


@dataclass(frozen=True)
class Build:
    """The current build: its folder, and the number of the last change in it."""

    name: str
    sequence: int
    format: str


class IndexFolder:
    """`current.json` names one of the `lexical-…` folders beside it; it is replaced in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], Build] | None = None

    @property
    def lock(self) -> Path:
        """Locked by the one process that writes."""
        self._path.mkdir(parents=True, exist_ok=True)
        return self._path / "writer.lock"

    def current(self) -> Build | None:
        """None where there is no build of today's format; a file that a power cut left empty names none either."""
        file = self._path / "current.json"
        try:
            found = file.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._read is None or self._read[0] != stamp:
                self._read = stamp, Build(**json.loads(file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        build = self._read[1]
        exists = (self._path / build.name / "meta.json").exists()
        return build if build.format == FORMAT and exists else None

    def publish(self, name: str, sequence: int) -> None:
        draft = self._path / f"current.{os.getpid()}"
        draft.write_text(json.dumps(asdict(Build(name, sequence, FORMAT))))
        draft.replace(self._path / "current.json")

    def open(self, name: str) -> "tantivy.Index | None":
        """None where its files are damaged or gone."""
        try:
            return tantivy.Index.open(str(self._path / name))
        except ValueError:
            return None

    def create(self, schema: "tantivy.Schema") -> str:
        """An empty build beside the others."""
        name = f"lexical-{os.getpid()}-{os.urandom(3).hex()}"
        (self._path / name).mkdir()
        tantivy.Index(schema, path=str(self._path / name))
        return name

    def keep_only(self, name: str) -> None:
        """Remove all other builds; whoever reads one has its files open."""
        for folder in self._path.glob("lexical-*"):
            if folder.name != name:
                shutil.rmtree(folder, ignore_errors=True)
