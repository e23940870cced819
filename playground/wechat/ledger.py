"""What people saw, and what went over the wire: two lists in memory, with somebody waiting for the next entry."""

import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ENTRIES = 50000

type Source = Literal["user", "passive", "push"]


@dataclass(frozen=True)
class Entry:
    """A bubble on a phone: what a person wrote, or what they were shown and how it came."""

    id: int
    user: str
    source: Source
    text: str
    at: float
    msg_id: str = ""  # the message that was written, or that a passive reply answers
    push_id: str = ""  # the platform's id of a push
    bytes: int = 0


@dataclass(frozen=True)
class Delivery:
    """One try to bring a message to the product."""

    msg_id: str
    number: int
    started_at: float
    seconds: float
    status: int  # 0 where no answer came
    outcome: Literal["shown", "empty", "cut", "failed", "invalid"]


@dataclass
class Ledger:
    """Both lists, and counts of what a person never sees."""

    counts: Counter[str] = field(default_factory=Counter)
    _entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=ENTRIES))
    _deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=ENTRIES))
    _calls: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=ENTRIES))
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _last: int = 0

    def show(self, user: str, source: Source, text: str, **more: Any) -> Entry:
        """Add a bubble and wake who waits for it."""
        with self._changed:
            self._last += 1
            size = len(text.encode())
            entry = Entry(self._last, user, source, text, time.time(), bytes=size, **more)
            self._entries.append(entry)
            self._changed.notify_all()
        return entry

    def seen(
        self, user: str, *, after: int = 0, wait_s: float = 0.0, own: bool = False
    ) -> list[dict[str, Any]]:
        """A person's bubbles after number `after`, oldest first; waits for one when there is none."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            while not (found := self._find(user, after, own)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(left)
        return [asdict(entry) for entry in found]

    def delivered(self, delivery: Delivery) -> None:
        with self._changed:
            self._deliveries.append(delivery)
            self.counts[delivery.outcome] += 1

    def called(self, path: str, code: int, seconds: float) -> None:
        with self._changed:
            self._calls.append(
                {"path": path, "errcode": code, "at": time.time(), "seconds": seconds}
            )

    def deliveries(self, msg_id: str = "") -> list[dict[str, Any]]:
        with self._changed:
            return [asdict(one) for one in self._deliveries if msg_id in ("", one.msg_id)]

    def calls(self) -> list[dict[str, Any]]:
        with self._changed:
            return list(self._calls)

    def answered_passively(self, msg_id: str) -> bool:
        with self._changed:
            return any(e.source == "passive" and e.msg_id == msg_id for e in self._entries)

    def _find(self, user: str, after: int, own: bool) -> list[Entry]:
        return [
            entry
            for entry in self._entries
            if entry.user == user and entry.id > after and (own or entry.source != "user")
        ]
