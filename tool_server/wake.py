"""Wake-up calls between processes of one machine: one datagram socket each; polling is only the fallback."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType

# Longer payloads than a message's number are never sent.
DATAGRAM = 256
# More calls than a socket holds.
DRAINED = 1000


class Bell:
    """This process's socket `<run_dir>/wake/<kind>-<pid>`; `wait` returns what was rung, or None after `timeout`."""

    def __init__(self, run_dir: Path, kind: str) -> None:
        folder = run_dir / "wake"
        folder.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self._path = folder / f"{kind}-{os.getpid()}"
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))

    def wait(self, timeout: float) -> str | None:
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv(DATAGRAM).decode()
        except TimeoutError:
            return None

    def drain(self) -> None:
        """Forget what else was rung: who looks for all work need look once for many calls."""
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            for _ in range(DRAINED):
                self._socket.recv(DATAGRAM)

    def ring(self, payload: str = "") -> None:
        """From another thread of this process; a full socket is awake already."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with suppress(BlockingIOError, ConnectionRefusedError, FileNotFoundError):
                sender.sendto(payload.encode(), str(self._path))

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> "Bell":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def ring(run_dir: Path, kind: str, payload: str = "") -> None:
    """Wake every process of a kind; a dead one's socket is swept away, a full one is awake already."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for path in _bells(run_dir / "wake", kind):
            try:
                sender.sendto(payload.encode(), path)
            except BlockingIOError:
                continue
            except (ConnectionRefusedError, FileNotFoundError):
                Path(path).unlink(missing_ok=True)


def _bells(folder: Path, kind: str) -> list[str]:
    """Paths of all sockets of a kind; asked with each message, so without the cost of a glob."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.name.startswith(f"{kind}-")]
    return []
