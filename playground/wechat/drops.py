"""What the platform keeps from a person without a word: the same request again, and too many; used by `api`."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable

from playground.wechat.ledger import Ledger
from playground.wechat.limits import ENTRIES, Limits


class Drops:
    """Both silent rules of message/send, per person; each drop is counted apart."""

    def __init__(
        self, limits: Limits, ledger: Ledger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: dict[tuple[str, bytes], float] = {}  # until when it is a duplicate
        self._recent: dict[str, deque[float]] = {}

    def duplicate(self, user: str, raw: bytes, interval_s: float | None) -> bool:
        """Whether this request went to this person within the interval. `raw` is the request's JSON."""
        asked = self._limits.duplicate_s if interval_s is None else interval_s
        name, now = (user, hashlib.sha256(raw).digest()), self._clock()
        with self._lock:
            if now < self._sent.get(name, 0.0):
                self._ledger.count("dropped_duplicate")
                return True
            self._sent[name] = now + min(asked, self._limits.longest_duplicate_s)
            if len(self._sent) > ENTRIES:
                del self._sent[next(iter(self._sent))]
            return False

    def too_many(self, user: str) -> bool:
        """Whether this person has had their messages of the minute or of the hour."""
        now = self._clock()
        with self._lock:
            recent = self._recent.setdefault(user, deque(maxlen=self._limits.per_hour))
            while recent and recent[0] <= now - 3600:
                recent.popleft()
            full = len(recent) >= self._limits.per_hour
            if full or _since(recent, now - 60) >= self._limits.per_minute:
                self._ledger.count("dropped_rate")
                return True
            recent.append(now)
            if len(self._recent) > ENTRIES:
                del self._recent[next(iter(self._recent))]
            return False


def _since(times: deque[float], begin: float) -> int:
    """How many of the ascending `times` are after `begin`; looks at those only."""
    count = 0
    for at in reversed(times):
        if at <= begin:
            break
        count += 1
    return count
