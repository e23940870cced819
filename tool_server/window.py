"""An amount per minute: what was used in the last minute, and how long until more may be; used by `limits`."""

import math
from collections import deque

WINDOW_S = 60


class Window:
    """Amounts in slices of a second. A slice counts until its last moment is a minute old: so never was more used in
    the last minute than is counted here, and 61 numbers are enough for any limit. Seconds of a clock that never goes
    back; not thread-safe.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._slices: deque[tuple[int, int]] = deque()  # second and amount, oldest first
        self._total = 0
        self._paid_at = 0.0

    def used(self, now: float) -> int:
        """The amount of the last minute."""
        while self._slices and _end(self._slices[0][0]) <= now:
            self._total -= self._slices.popleft()[1]
        return self._total

    def left(self, now: float, held: int = 0) -> int:
        """What is free beside `held`, which is promised to requests that run; never negative."""
        return 0 if now < self._paid_at else max(0, self.limit - self.used(now) - held)

    def add(self, amount: int, now: float) -> None:
        """Count what was used. What goes over the limit, because an estimate was too low, is a debt: nothing more fits
        until the average has come back to the limit.
        """
        over = min(amount, self.used(now) + amount - self.limit)
        if over > 0:
            self._paid_at = max(self._paid_at, now + WINDOW_S) + over * WINDOW_S / self.limit
        second = math.floor(now)
        if self._slices and self._slices[-1][0] == second:
            self._slices[-1] = (second, self._slices[-1][1] + amount)
        else:
            self._slices.append((second, amount))
        self._total += amount

    def wait(self, amount: int, now: float, held: int = 0) -> float | None:
        """Seconds until `amount` fits beside `held`, 0 for now; None where that depends on what holds it."""
        missing = self.used(now) + held + amount - self.limit
        wait = max(0.0, self._paid_at - now)
        for second, used in self._slices:
            if missing <= 0:
                break
            missing -= used
            wait = max(wait, _end(second) - now)
        return wait if missing <= 0 else None

    def reset(self, now: float) -> float:
        """Seconds until all of it is free, if nothing more is used."""
        self.used(now)
        last = _end(self._slices[-1][0]) if self._slices else now
        return max(last, self._paid_at, now) - now


def _end(second: int) -> int:
    """The moment from which a slice no longer counts."""
    return second + 1 + WINDOW_S
