"""kf/sync_msg: pages of an account's log behind a cursor, and the tokens that callbacks bring for it."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from playground.wechat.kf.desk import Desk, Item, ServiceAccount
from playground.wechat.kf.limits import TOKENS

CURSOR_HEAD = "cur"


class SyncTokens:
    """A token is good for some minutes and for one service account; calls without one are few a minute."""

    def __init__(
        self, token_s: float, bare_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._token_s = token_s
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str], float] = {}
        self._bare: deque[float] = deque(maxlen=max(1, bare_per_minute))
        self._allowed = bare_per_minute

    def issue(self, open_kfid: str) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._until[open_kfid, token] = self._clock() + self._token_s
            if len(self._until) > TOKENS:
                del self._until[next(iter(self._until))]
        return token

    def forget(self) -> None:
        """All tokens so far end early."""
        with self._lock:
            self._until.clear()

    def fault(self, open_kfid: str, token: str) -> int:
        """The error code of a call with this token, or with none; 0 for none."""
        with self._lock:
            if token:
                return 0 if self._until.get((open_kfid, token), 0.0) > self._clock() else 95007
            now = self._clock()
            while self._bare and self._bare[0] <= now - 60:
                self._bare.popleft()
            if len(self._bare) >= self._allowed:
                return 45009
            self._bare.append(now)
            return 0


class Sync:
    """The call itself."""

    def __init__(self, desk: Desk) -> None:
        limits = desk.limits
        self.tokens = SyncTokens(limits.token_s, limits.bare_per_minute)
        self._desk = desk
        self._pages = 0

    def pull(self, body: dict[str, Any]) -> dict[str, Any]:
        """A page, or an error code in `errcode`."""
        account = self._desk.accounts.get(str(body.get("open_kfid", "")))
        limit = body.get("limit", self._desk.limits.page)
        if account is None:
            return {"errcode": 95000}
        if not isinstance(limit, int) or not 1 <= limit <= self._desk.limits.page:
            return {"errcode": 40058}
        after = _position(account, str(body.get("cursor", "")))
        if after is None:
            return {"errcode": 40058}
        if code := self.tokens.fault(account.open_kfid, str(body.get("token", ""))):
            return {"errcode": code}
        with self._desk.lock:
            return self._page(account, after, limit)

    def _page(self, account: ServiceAccount, after: int, limit: int) -> dict[str, Any]:
        self._pages += 1
        oldest = self._desk.clock() - self._desk.limits.keep_s
        waiting = [item for item in account.log if item.number > after and item.at >= oldest]
        every = self._desk.limits.empty_every
        if every and self._pages % every == 0 and waiting:
            return _answer(account, after, (), more=True)
        page = waiting[:limit]
        after = page[-1].number if page else max(after, account.last)
        return _answer(account, after, page, more=len(waiting) > len(page))


def _answer(
    account: ServiceAccount, after: int, page: Iterable[Item], *, more: bool
) -> dict[str, Any]:
    return {
        "errcode": 0,
        "errmsg": "ok",
        "next_cursor": f"{CURSOR_HEAD}.{account.open_kfid}.{after}.{secrets.token_hex(4)}",
        "has_more": int(more),
        "msg_list": [item.body for item in page],
    }


def _position(account: ServiceAccount, cursor: str) -> int | None:
    """The number behind a cursor of this account; 0 without one, None for one that we never gave."""
    if not cursor:
        return 0
    parts = cursor.split(".")
    if len(parts) != 4 or parts[:2] != [CURSOR_HEAD, account.open_kfid] or not parts[2].isdigit():
        return None
    return int(parts[2])
