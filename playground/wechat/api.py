"""The platform's API: gettoken, message/send, menu/create and getcallbackip, as hard as the real ones."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from playground.wechat.contents import Contents
from playground.wechat.drops import Drops
from playground.wechat.faults import Fault, Script
from playground.wechat.ledger import Ledger
from playground.wechat.limits import Limits
from playground.wechat.menu import menu_fault
from playground.wechat.tokens import Tokens

MESSAGES = {
    40001: "invalid credential",
    40004: "invalid media type",
    40005: "invalid file type",
    40006: "invalid media size",
    40007: "invalid media_id",
    40008: "invalid message type",
    40014: "invalid access_token",
    40016: "invalid button size",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40020: "invalid button url size",
    40023: "invalid sub button size",
    40058: "invalid Request Parameter",
    41001: "access_token missing",
    41005: "media data missing",
    42001: "access_token expired",
    42045: "response_code invalid or used",
    44001: "empty media data",
    44004: "text content is empty",
    45001: "media size out of limit",
    45009: "api freq out of limit",
    81013: "user & party & tag all invalid",
    301002: "not allow operate another agent with this accesstoken",
}


@dataclass(frozen=True)
class App:
    """The self-built app as the console knows it, and who may use it; `*` is everybody."""

    corp_id: str
    agent_id: int
    secret: str
    users: tuple[str, ...]

    def sees(self, user: str) -> bool:
        return bool(user) and ("*" in self.users or user in self.users)


@dataclass
class Api:
    """State behind the calls; each returns the JSON that the platform answers with."""

    app: App
    limits: Limits
    ledger: Ledger
    contents: Contents
    faults: Script = field(default_factory=Script)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.limits)
        self._drops = Drops(self.limits, self.ledger)
        self.menu: dict[str, Any] = {}

    def script(self, fault: Fault) -> None:
        self.faults.add(fault)

    def forget_token(self) -> None:
        self.tokens.forget()

    def gettoken(self, corp_id: str, secret: str) -> dict[str, Any]:
        """The same token as long as it is valid."""
        if self.tokens.banned():
            return error(45009)
        if corp_id != self.app.corp_id or secret != self.app.secret:
            self.tokens.wrong_secret()
            return error(40001)
        token, left = self.tokens.get()
        return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": left}

    def send(self, token: str, raw: bytes) -> dict[str, Any]:
        """message/send to persons."""
        if code := self.tokens.fault(token):
            return error(code)
        body = _object(raw)
        if code := self._send_fault(body):
            return error(code)
        users = body["touser"].split("|")
        known = [user for user in users if self.app.sees(user)]
        if not known:
            return error(81013)
        push_id = secrets.token_urlsafe(24)
        for user in known:
            self._push(user, body, raw, push_id)
        unknown = "|".join(user.lower() for user in users if user not in known)
        return {"errcode": 0, "errmsg": "ok", "msgid": push_id, "invaliduser": unknown}

    def update_card(self, token: str, raw: bytes) -> dict[str, Any]:
        """message/update_template_card: what a pressed button says from now on."""
        if code := self.tokens.fault(token):
            return error(code)
        body = _object(raw)
        if body.get("agentid") != self.app.agent_id:
            return error(301002)
        code = self.contents.cards.change(body)
        return error(code) if code else {"errcode": 0, "errmsg": "ok", "invaliduser": []}

    def create_menu(self, token: str, agent_id: str, raw: bytes) -> dict[str, Any]:
        """menu/create: at most three buttons of at most five."""
        if code := self.tokens.fault(token):
            return error(code)
        if agent_id != str(self.app.agent_id):
            return error(301002)
        menu = _object(raw)
        if code := menu_fault(menu.get("button"), self.limits):
            return error(code)
        self.menu = menu
        return {"errcode": 0, "errmsg": "ok"}

    def delete_menu(self, agent_id: str) -> dict[str, Any]:
        """menu/delete."""
        if agent_id != str(self.app.agent_id):
            return error(301002)
        self.menu = {}
        return {"errcode": 0, "errmsg": "ok"}

    def token_error(self, token: str) -> dict[str, Any] | None:
        """What a call with this token is answered with, if not with what it asks for."""
        code = self.tokens.fault(token)
        return error(code) if code else None

    def callback_addresses(self, token: str) -> dict[str, Any]:
        """getcallbackip: from where callbacks come."""
        if code := self.tokens.fault(token):
            return error(code)
        return {"errcode": 0, "errmsg": "ok", "ip_list": ["127.0.0.1"]}

    def _send_fault(self, body: dict[str, Any]) -> int:
        to = body.get("touser")
        if not isinstance(to, str) or to.count("|") >= self.limits.receivers:
            return 40058
        if body.get("agentid") != self.app.agent_id:
            return 301002
        if not isinstance(body.get("duplicate_check_interval", 0), int):
            return 40058
        return self.contents.fault(body)

    def _push(self, user: str, body: dict[str, Any], raw: bytes, push_id: str) -> None:
        if body.get("enable_duplicate_check") == 1:
            interval = body.get("duplicate_check_interval")
            if self._drops.duplicate(user, raw, interval):
                return
        if self._drops.too_many(user):
            return
        self.ledger.count("pushed")
        self.ledger.show(user, "push", self.contents.shown(body), push_id=push_id)


def error(code: int) -> dict[str, Any]:
    return {"errcode": code, "errmsg": MESSAGES[code]}


def _object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`; an empty one for anything else, so that its fields are missing."""
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
