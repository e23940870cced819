"""What a call meets first: the list of trusted addresses and the call-frequency limit; used by `routes`."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from playground.wechat.limits import CallLimits

MINUTE_S = 60.0
# A token is given to everybody who has the secret; using it is what is bound to addresses.
FREE_OF_ADDRESSES = ("/cgi-bin/gettoken",)


class Gate:
    """`trusted` None: the app's list is not used. A list that is saved works a while later, as the real one."""

    def __init__(
        self,
        limits: CallLimits,
        trusted: Iterable[str] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._trusted = None if trusted is None else frozenset(trusted)
        self._coming: tuple[float, frozenset[str]] | None = None
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._blocked_until: dict[str, float] = {}

    def trust(self, addresses: Iterable[str]) -> None:
        """The console's form of 企业可信IP."""
        with self._lock:
            self._coming = (self._clock() + self._limits.trusted_after_s, frozenset(addresses))

    def refuse(self, path: str, address: str) -> dict[str, Any] | None:
        """The answer of a call that goes no further, else None."""
        with self._lock:
            now = self._clock()
            if self._too_many(path, now):
                return {"errcode": 45009, "errmsg": "api freq out of limit"}
            if path not in FREE_OF_ADDRESSES and not self._is_trusted(address, now):
                return {"errcode": 60020, "errmsg": _not_trusted(address)}
        return None

    def _too_many(self, path: str, now: float) -> bool:
        if now < self._blocked_until.get(path, 0.0):
            return True
        calls = self._calls[path]
        calls.append(now)
        while calls[0] <= now - MINUTE_S:
            calls.popleft()
        if len(calls) <= self._limits.calls_per_minute:
            return False
        self._blocked_until[path] = now + self._limits.blocked_s
        calls.clear()
        return True

    def _is_trusted(self, address: str, now: float) -> bool:
        if self._coming is not None and now >= self._coming[0]:
            self._trusted, self._coming = self._coming[1], None
        return self._trusted is None or address in self._trusted


def _not_trusted(address: str) -> str:
    return (
        "not allow to access from your ip, hint: [1700000000000000000], "
        f"from ip: {address}, more info at https://open.work.weixin.qq.com/devtool/query?e=60020"
    )
