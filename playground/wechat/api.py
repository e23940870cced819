"""The platform's API: gettoken and message/send, with its errors, silent limits, and faults by script."""

import hashlib
import json
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from playground.wechat.ledger import Ledger
from playground.wechat.limits import Limits, cut


@dataclass(frozen=True)
class App:
    """The self-built app as the console knows it, and who may use it."""

    corp_id: str
    agent_id: int
    secret: str
    users: tuple[str, ...]


@dataclass
class Fault:
    """What the next calls of one route come to; see `routes` for the kinds."""

    call: str
    fault: str
    times: int
    code: int = -1
    seconds: float = 0.0


@dataclass
class Api:
    """State behind the calls; each returns the JSON that the platform answers with."""

    app: App
    limits: Limits
    ledger: Ledger
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _token: tuple[str, float] = ("", 0.0)
    _wrong: int = 0
    _sent: dict[tuple[str, str], float] = field(default_factory=dict)
    _recent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _faults: list[Fault] = field(default_factory=list)

    def script(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def next_fault(self, path: str) -> Fault | None:
        """The fault that this call meets, if one was scripted."""
        with self._lock:
            for fault in self._faults:
                if path.endswith(fault.call):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None

    def gettoken(self, corp_id: str, secret: str) -> dict[str, Any]:
        """The same token as long as it is valid."""
        with self._lock:
            if self._wrong >= self.limits.wrong_secrets:
                return _error(45009, "api freq out of limit")
            if corp_id != self.app.corp_id or secret != self.app.secret:
                self._wrong += 1
                return _error(40001, "invalid credential")
            token, until = self._token
            if time.monotonic() >= until:
                token, until = secrets.token_urlsafe(48), time.monotonic() + self.limits.token_s
                self._token = (token, until)
            left = int(until - time.monotonic())
        return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": left}

    def forget_token(self) -> None:
        """The platform may end a token early."""
        with self._lock:
            self._token = ("", 0.0)

    def send(self, token: str, raw: bytes) -> dict[str, Any]:
        """message/send of texts."""
        with self._lock:
            if not token or token != self._token[0]:
                return _error(40014, "invalid access_token")
        try:
            body = json.loads(raw)
            users = str(body["touser"]).split("|")
            text = str(body["text"]["content"])
            agent_id = body["agentid"]
        except (ValueError, KeyError, TypeError):
            return _error(40058, "invalid Request Parameter")
        if agent_id != self.app.agent_id:
            return _error(301002, "not allow operate another agent")
        known = [user for user in users if user in self.app.users or "*" in self.app.users]
        if not known:
            return _error(81013, "user & party & tag all invalid")
        push_id = secrets.token_urlsafe(24)
        for user in known:
            if not self._dropped(user, body, raw):
                self.ledger.show(user, "push", cut(text, self.limits.text_bytes), push_id=push_id)
        unknown = "|".join(user.lower() for user in users if user not in known)
        return {"errcode": 0, "errmsg": "ok", "msgid": push_id, "invaliduser": unknown}

    def _dropped(self, user: str, body: Mapping[str, Any], raw: bytes) -> bool:
        """Whether the platform keeps this from the user without a word."""
        now = time.monotonic()
        with self._lock:
            if body.get("enable_duplicate_check") == 1:
                name = (user, hashlib.sha256(raw).hexdigest())
                asked = int(body.get("duplicate_check_interval", self.limits.duplicate_s))
                until = self._sent.get(name, 0.0)
                if now < until:
                    self.ledger.counts["dropped_duplicate"] += 1
                    return True
                self._sent[name] = now + min(asked, self.limits.longest_duplicate_s)
            recent = self._recent[user]
            while recent and recent[0] < now - 3600:
                recent.popleft()
            in_minute = sum(at > now - 60 for at in recent)
            if in_minute >= self.limits.per_minute or len(recent) >= self.limits.per_hour:
                self.ledger.counts["dropped_rate"] += 1
                return True
            recent.append(now)
        return False


def _error(code: int, message: str) -> dict[str, Any]:
    return {"errcode": code, "errmsg": message}
