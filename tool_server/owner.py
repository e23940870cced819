"""Whether a process that took work still lives: each holds a lock on a file, which the kernel frees when it dies.

The channel's workers hold theirs in the run folder, whoever runs a job of ingestion in the data folder.
"""

import fcntl
import socket
from pathlib import Path
from typing import IO


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
    """True where `owner` is a process of this machine that has ended; for other machines the lease must expire."""
    return owner.startswith(socket.gethostname() + "-") and not is_held(folder, owner)


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
