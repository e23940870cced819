"""Whether a worker lives: each holds a lock on a file of its name, which the kernel frees when it dies."""

import fcntl
import socket
from pathlib import Path
from typing import IO


class OwnerLock:
    """The lock of this process on `<run_dir>/workers/<owner>`, held until `close` or death."""

    def __init__(self, run_dir: Path, owner: str) -> None:
        self._path = _path(run_dir, owner)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


def is_dead(run_dir: Path, owner: str) -> bool:
    """True where `owner` is a process of this machine that has ended; for other machines the lease must expire.

    A worker that ended well has removed its file: it is dead as well, once no lock can be asked for.
    """
    if not owner.startswith(socket.gethostname() + "-"):
        return False
    try:
        with _path(run_dir, owner).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    _path(run_dir, owner).unlink(missing_ok=True)
    return True


def _path(run_dir: Path, owner: str) -> Path:
    return run_dir / "workers" / owner
