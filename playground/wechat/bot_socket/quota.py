"""So many a minute and so many an hour, by name; used for conversations, subscriptions and uploads."""

import threading
import time
from collections import deque
from collections.abc import Callable

from playground.wechat.limits import ENTRIES


class Quota:
    """Counts what was let through in sliding windows. For all threads."""

    def __init__(
        self,
        per_minute: int,
        per_hour: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute = per_minute
        self._per_hour = per_hour
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def take(self, name: str) -> bool:
        """Whether one more fits; if so it counts."""
        now = self._clock()
        with self._lock:
            times = self._times.setdefault(name, deque())
            while times and times[0] <= now - 3600:
                times.popleft()
            last_minute = sum(1 for at in times if at > now - 60)
            if len(times) >= self._per_hour or last_minute >= self._per_minute:
                return False
            times.append(now)
            if len(self._times) > ENTRIES:
                del self._times[next(iter(self._times))]
            return True
