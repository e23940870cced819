"""One writer of an index at a time on this machine: a file lock, which its process's death frees; for both engines."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tool_server.knowledge.index import IndexBusy

RETRY_S = 0.05


@contextmanager
def alone(lock: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock. Raises `IndexBusy` where another process or thread holds it for longer than `wait_s`."""
    deadline = time.monotonic() + wait_s
    with lock.open("w") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise IndexBusy("Another process is writing the index.") from None
                time.sleep(RETRY_S)
        yield
