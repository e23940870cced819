"""What people saw, and what went over the wire: lists in memory, with somebody waiting for the next bubble."""

import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any, Literal
from weakref import WeakValueDictionary

from playground.wechat.limits import ENTRIES
from playground.wechat.shelf import Shelf

type Source = Literal["user", "passive", "push", "stream", "human"]
type Outcome = Literal["shown", "duplicate_passive", "empty", "cut", "failed", "invalid"]
# What one may count on: a count that never happened is 0, not absent.
COUNTS = (
    *("shown", "duplicate_passive", "empty", "cut", "failed", "invalid", "given_up"),
    *("pushed", "dropped_duplicate", "dropped_rate", "checks_failed", "failed_later"),
    *("stream_shrunk", "stream_repeated", "stream_refused"),
)


@dataclass
class Entry:
    """A bubble on a phone: what a person wrote, or what they were shown and how it came.

    The ledger alone changes it, under its lock: a stream's bubble grows in its place.
    """

    id: int
    user: str
    source: Source
    text: str
    at: float
    msg_id: str = ""  # the message that was written, or that a passive reply answers
    push_id: str = ""  # the platform's id of a push
    bytes: int = 0
    chat: str = ""  # the group in which it stands
    stream: str = ""  # the stream that makes it grow
    version: int = 1  # how often it has changed
    changed: int = 0  # number of its last change among all bubbles and changes: read on from here
    changed_at: float = 0.0
    text_at: float = 0.0  # when a stream first showed more than a progress line
    finish: bool = True
    surface: str = "app"  # with which of the platform's accounts: app, bot
    pictures: tuple[str, ...] = ()  # md5 of those that a finished stream holds


@dataclass(frozen=True)
class Delivery:
    """One try to bring a message to the product."""

    msg_id: str
    number: int
    started_at: float
    seconds: float
    status: int  # 0 where no answer came
    outcome: Outcome
    reason: str = ""  # why it failed, or why a reply was invalid


@dataclass(frozen=True)
class Call:
    """One call of the platform's API."""

    path: str
    status: int  # 0 where the connection was ended instead of an answer
    errcode: int | None  # None where the answer held none
    at: float
    seconds: float
    fault: str = ""  # the scripted one that it met


class Ledger:
    """The lists, and counts of what a person never sees. For all threads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._lock = threading.Lock()
        self._entries: Shelf[Entry] = Shelf(ENTRIES)
        self._deliveries: Shelf[Delivery] = Shelf(ENTRIES)
        self._answered: Shelf[bool] = Shelf(ENTRIES)  # by MsgId
        self._calls: deque[Call] = deque(maxlen=ENTRIES)
        # One door per person who is waited for; it goes with the last who waits.
        self._doors: WeakValueDictionary[str, threading.Condition] = WeakValueDictionary()
        self._last = 0

    def show(
        self,
        user: str,
        source: Source,
        text: str,
        *,
        msg_id: str = "",
        push_id: str = "",
        chat: str = "",
        stream: str = "",
        surface: str = "app",
    ) -> Entry:
        """Add a bubble and wake who waits for it."""
        with self._lock:
            entry = self._show(user, source, text, msg_id, push_id)
            entry.chat, entry.stream, entry.finish = chat, stream, not stream
            entry.surface = surface
            return entry

    def grow(self, entry: Entry, text: str, *, finish: bool, is_text: bool) -> None:
        """A stream's bubble shows `text` from now on; wakes who waits. `is_text`: it is no progress line."""
        with self._lock:
            self._last += 1
            now = time.time()
            entry.version += text != entry.text
            entry.text, entry.bytes, entry.finish = text, len(text.encode()), finish
            entry.changed, entry.changed_at = self._last, now
            if is_text and not entry.text_at:
                entry.text_at = now
            self._wake(entry.user)

    def answer(self, msg_id: str, user: str, text: str, *, surface: str = "app") -> bool:
        """Show a passive reply, unless its message has had one: then False."""
        with self._lock:
            if self._answered.newest(msg_id):
                return False
            self._answered.add(msg_id, True)
            self._show(user, "passive", text, msg_id, "").surface = surface
            return True

    def seen(
        self, user: str, *, after: int = 0, wait_s: float = 0.0, own: bool = False
    ) -> list[dict[str, Any]]:
        """A person's bubbles that came or changed after number `after`, oldest first; waits where there is none."""
        deadline = time.monotonic() + wait_s
        with self._lock:
            door = self._doors.get(user) or threading.Condition(self._lock)
            self._doors[user] = door
            while not (found := self._after(user, after, own)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                door.wait(left)
            return [asdict(entry) for entry in found]

    def count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def delivered(self, delivery: Delivery) -> None:
        with self._lock:
            self._deliveries.add(delivery.msg_id, delivery)
            self.counts[delivery.outcome] += 1

    def called(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def deliveries(self, msg_id: str = "") -> list[dict[str, Any]]:
        with self._lock:
            found = self._deliveries.of(msg_id) if msg_id else self._deliveries.everything()
        return [asdict(delivery) for delivery in found]

    def bubbles(self) -> list[dict[str, Any]]:
        """Everybody's, also what they wrote themselves."""
        with self._lock:
            found = self._entries.everything()
        return [asdict(entry) for entry in found]

    def calls(self) -> list[dict[str, Any]]:
        with self._lock:
            found = list(self._calls)
        return [asdict(call) for call in found]

    def _show(self, user: str, source: Source, text: str, msg_id: str, push_id: str) -> Entry:
        self._last += 1
        size = len(text.encode())
        now = time.time()
        entry = Entry(self._last, user, source, text, now, msg_id, push_id, size)
        entry.changed, entry.changed_at = self._last, now
        self._entries.add(user, entry)
        self._wake(user)
        return entry

    def _wake(self, user: str) -> None:
        if (door := self._doors.get(user)) is not None:
            door.notify_all()

    def _after(self, user: str, after: int, own: bool) -> list[Entry]:
        return [
            entry
            for entry in self._entries.of(user)
            if entry.changed > after and (own or entry.source != "user")
        ]
