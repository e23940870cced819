"""The one active reply to a message: an address that came with it, open for a while, plain JSON (101138)."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playground.wechat.ledger import Ledger
from playground.wechat.limits import MESSAGES, BotLimits

PATH = "/cgi-bin/aibot/response"
# The codes are not documented.
BAD_PARAMETER, TOO_LONG, USED, EXPIRED = 40058, 45002, 41079, 42009


@dataclass
class _Ticket:
    """What one address is good for."""

    user: str
    chat: str
    created_at: float
    uses: int = 0


class ActiveReplies:
    """All addresses that were given out."""

    def __init__(
        self, ledger: Ledger, limits: BotLimits, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._tickets: dict[str, _Ticket] = {}

    def issue(self, user: str, chat: str) -> str:
        """The query of a new address."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets[code] = _Ticket(user, chat, self._clock())
            if len(self._tickets) > MESSAGES:
                del self._tickets[next(iter(self._tickets))]
        return f"{PATH}?response_code={code}"

    def answer(self, code: str, raw: bytes) -> dict[str, Any]:
        """One POST to an address; what is right is shown."""
        text, fault = self._read(raw)
        if fault:
            return _error(fault)
        with self._lock:
            ticket = self._tickets.get(code)
            if ticket is None or ticket.uses >= self._limits.response_url_uses:
                self._ledger.count("active_used")
                return _error(USED)
            if self._clock() > ticket.created_at + self._limits.response_url_s:
                self._ledger.count("active_expired")
                return _error(EXPIRED)
            ticket.uses += 1
        self._ledger.count("pushed")
        push_id = secrets.token_urlsafe(12)
        self._ledger.show(
            ticket.user, "push", text, push_id=push_id, chat=ticket.chat, surface="bot"
        )
        return {"errcode": 0, "errmsg": "ok"}

    def _read(self, raw: bytes) -> tuple[str, int]:
        try:
            body = json.loads(raw)
            match body["msgtype"]:
                case "markdown":
                    text = body["markdown"]["content"]
                case "template_card":
                    text = f"[{body['template_card']['main_title']['title']}]"
                case _:
                    return "", BAD_PARAMETER
            size = len(text.encode())
        except (ValueError, TypeError, KeyError, AttributeError):
            return "", BAD_PARAMETER
        if size > self._limits.content_bytes:
            return "", TOO_LONG
        return (text, 0) if text else ("", BAD_PARAMETER)


def _error(code: int) -> dict[str, Any]:
    return {"errcode": code, "errmsg": "not taken"}
