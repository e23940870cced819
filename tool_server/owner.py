"""Whether a process that took work still lives: each holds a lock on a file, which the kernel frees when it dies.

The channel's workers hold theirs in the run folder, whoever runs a job of ingestion in the data folder.
"""

import fcntl
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO

NODE = ".node"  # the file of a folder's own name


def new_owner(folder: Path) -> str:
    """A name for this process as an owner whose lock lies in `folder`."""
    return f"{here(folder)}-{os.getpid()}-{secrets.token_hex(4)}"


def here(folder: Path) -> str:
    """What the names of all owners begin with whose locks lie in `folder`: the machine's name and the folder's own.

    Two nodes may have one machine's name, as containers in the host's network do; each cannot see the other's locks.
    """
    try:
        node = (folder / NODE).read_text()
    except FileNotFoundError:
        node = _name_node(folder)
    return f"{socket.gethostname()}-{node}"


class OwnerLock:
    """The lock of this process on `<folder>/<owner>`, held until `close` or death."""

    def __init__(self, folder: Path, owner: str) -> None:
        self._path = folder / owner
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


def is_dead(folder: Path, owner: str) -> bool:
    """True where `owner` is a process of this node that has ended; for other nodes the lease must expire."""
    return owner.startswith(here(folder) + "-") and not is_held(folder, owner)


def is_held(folder: Path, owner: str) -> bool:
    """Whether somebody holds the lock; the file of one that was killed is removed.

    One that ended well has removed its file itself: once no lock can be asked for, it is dead as well.
    """
    path = folder / owner
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    path.unlink(missing_ok=True)
    return False


def one_lives(folder: Path, kind: str) -> bool:
    """Whether an owner whose name begins with `kind` is alive."""
    return any(is_held(folder, path.name) for path in folder.glob(f"{kind}-*"))


def _name_node(folder: Path) -> str:
    """Of several processes that try at once, one names it: the file comes into being whole."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{NODE}-{secrets.token_hex(4)}"
    draft.write_text(secrets.token_hex(4))
    with suppress(FileExistsError):
        (folder / NODE).hardlink_to(draft)
    draft.unlink()
    return (folder / NODE).read_text()
