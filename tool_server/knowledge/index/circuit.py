"""A circuit breaker: a service that failed several times is left alone for a moment; for `elastic_client`.

*Closed*: calls go through. *Open*: they fail at once. *Half open*, once the pause is over: one call may try.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger()

FAILURES, WITHIN_S, PAUSE_S = 5, 30.0, 5.0


class Circuit:
    """Opens after `FAILURES` within `WITHIN_S`. Many threads may use it."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._open_until: float | None = None

    @property
    def open(self) -> bool:
        return self._open_until is not None

    def admits(self) -> bool:
        """Whether a call may be made now. A half-open circuit admits one; until its end, or another pause, no more."""
        with self._lock:
            if self._open_until is None:
                return True
            if self._clock() < self._open_until:
                return False
            self._open_until = self._clock() + PAUSE_S
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failures.clear()
            if self._open_until is not None:
                self._open_until = None
                log.warning("circuit.closed", service=self._name)

    def failed(self) -> None:
        now = self._clock()
        with self._lock:
            self._failures.append(now)
            recent = len(self._failures) == FAILURES and self._failures[0] >= now - WITHIN_S
            if self._open_until is None and recent:
                self._open_until = now + PAUSE_S
                log.warning("circuit.open", service=self._name, failures=FAILURES)
