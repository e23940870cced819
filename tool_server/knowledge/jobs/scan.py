"""What is there: the files below the paths that were named, each at the cost of one stat; called by `plan`."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

NO_SUCH = "there is no such file"


@dataclass(frozen=True)
class Found:
    """A file as the disk has it now; `name` is its path below the folder that was named."""

    location: str
    name: str
    size: int
    mtime_ns: int


@dataclass
class Scan:
    """All files by location; what could not be looked at, with the reason; the folders that were named."""

    files: dict[str, Found] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)

    def has_seen(self, location: str) -> bool:
        """Whether this scan would have found a file of this location, were it still there."""
        unseen = (folder for folder in self.refused if is_below(location, folder))
        return any(is_below(location, folder) for folder in self.folders) and not any(unseen)


def absolute(path: Path) -> str:
    """A path as it is known whatever the working folder is. Links stay: what they point to may change each day."""
    return os.path.normpath(path.absolute())


def is_below(location: str, folder: str) -> bool:
    return location == folder or location.startswith(folder.rstrip("/") + "/")


def scan(paths: Iterable[str]) -> Scan:
    """Look at files and folders, all but hidden ones. Nothing is raised: what cannot be looked at is named."""
    found = Scan()
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found.folders.append(given)
            for file in _below(path, found):
                _look(found, file, file.relative_to(path).as_posix())
        elif path.is_file():
            _look(found, path, path.name)
        else:
            found.refused[_shown(given)] = NO_SUCH
    return found


def _below(folder: Path, found: Scan) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        found.refused[_shown(error.filename)] = f"it cannot be opened: {error.strerror}"

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(root, name)
            if not name.startswith(".") and file.is_file():
                yield file


def _look(found: Scan, file: Path, name: str) -> None:
    location = str(file)
    shown = _shown(location)
    if shown != location:
        found.refused[shown] = "its name is not UTF-8"
    elif len(name) > NAME_LIMIT:
        found.refused[location] = f"its name has more than {NAME_LIMIT} characters"
    elif location not in found.files:
        try:
            seen = file.stat()
        except OSError as error:
            found.refused[location] = f"it cannot be opened: {error.strerror}"
        else:
            found.files[location] = Found(location, name, seen.st_size, seen.st_mtime_ns)


# A source id has 500: the name, what tells two roots apart, and the id of a line.
NAME_LIMIT = 400


def _shown(path: str) -> str:
    """A path that can be stored and printed, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
