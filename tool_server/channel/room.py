"""The waiting room: connections that wait for a passive reply, woken by a worker's call; used by `receive`."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tool_server import wake
from tool_server.database import Database
from tool_server.wake_nodes import Listener

# A call that got lost (a full socket) delays an answer by this much at most.
POLL_S = 0.25


class Rung:
    """One connection's bell."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        self._event.set()

    def wait(self, timeout_s: float) -> bool:
        """False when there is no time left; True when it rang or it is time to look again."""
        if timeout_s <= 0:
            return False
        self._event.wait(min(timeout_s, POLL_S))
        self._event.clear()
        return True


class WaitingRoom:
    """At most `seats` connections wait at once; one thread hears the calls for all of them."""

    def __init__(self, run_dir: Path, seats: int, database: Database) -> None:
        self._bell = wake.Bell(run_dir, "web")
        self._listener = Listener(database, self._bell)
        self._seats = threading.Semaphore(seats)
        self._waiting: dict[int, list[Rung]] = defaultdict(list)
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._hear, name="waiting-room", daemon=True)
        self._thread.start()

    @contextmanager
    def seat(self, patience_s: float) -> Iterator[float]:
        """Seconds that this connection may wait: `patience_s`, or 0 when all seats are taken."""
        if patience_s <= 0 or not self._seats.acquire(blocking=False):
            yield 0.0
            return
        try:
            yield patience_s
        finally:
            self._seats.release()

    @contextmanager
    def listen(self, message_id: int) -> Iterator[Rung]:
        rung = Rung()
        with self._lock:
            self._waiting[message_id].append(rung)
        try:
            yield rung
        finally:
            with self._lock:
                self._waiting[message_id].remove(rung)
                if not self._waiting[message_id]:
                    del self._waiting[message_id]

    def close(self) -> None:
        self._closed = True
        self._thread.join()
        self._listener.close()
        self._bell.close()

    def _hear(self) -> None:
        while not self._closed:
            payload = self._bell.wait(POLL_S)
            if payload and payload.isdigit():
                with self._lock:
                    for rung in self._waiting.get(int(payload), ()):
                        rung.ring()
