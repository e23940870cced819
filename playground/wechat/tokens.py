"""Access tokens as gettoken gives them out and the other calls check them; used by `api`."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable

from playground.wechat.limits import Limits

REMEMBERED = 1000


class Tokens:
    """One valid token per app; a wrong secret too often bans the caller for a while."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0
        self._expired: deque[str] = deque(maxlen=REMEMBERED)
        self._wrong = 0
        self._banned_until = 0.0

    def get(self) -> tuple[str, int]:
        """The valid token, new if there is none, and the seconds that it has left."""
        with self._lock:
            self._expire()
            if not self._token:
                self._token = secrets.token_urlsafe(48)
                self._until = self._clock() + self._limits.token_s
            self._wrong = 0
            return self._token, int(self._until - self._clock())

    def fault(self, token: str) -> int:
        """The error code that a call with this token gets, 0 for none."""
        with self._lock:
            self._expire()
            if not token:
                return 41001
            if token == self._token:
                return 0
            return 42001 if token in self._expired else 40014

    def wrong_secret(self) -> None:
        with self._lock:
            self._wrong += 1
            if self._wrong >= self._limits.wrong_secrets:
                self._wrong = 0
                self._banned_until = self._clock() + self._limits.ban_s

    def banned(self) -> bool:
        with self._lock:
            return self._clock() < self._banned_until

    def forget(self) -> None:
        """The platform may end a token early; it is then a bad one, not an expired one."""
        with self._lock:
            self._token = ""

    def _expire(self) -> None:
        if self._token and self._clock() >= self._until:
            self._expired.append(self._token)
            self._token = ""
