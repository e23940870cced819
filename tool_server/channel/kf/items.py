"""What kf/sync_msg gives, as messages of the ledger and as what they change; read by `page`.

Origins and events: developer.work.weixin.qq.com, document 94670.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from tool_server.channel import wxxml
from tool_server.channel.account import WeComKf
from tool_server.channel.feedback import KEYS
from tool_server.channel.surface import Incoming, Media, MediaKind

CUSTOMER, SYSTEM, SERVICER = 3, 4, 5
NOBODY = "nobody"  # an event that concerns no customer
MEDIA: dict[str, MediaKind] = {
    "image": "image",
    "voice": "voice",
    "video": "video",
    "file": "file",
}
LATEST = 10**11  # in a time of seconds; more is no time
ID = re.compile(r"[!-~]{1,128}")
# session_status_change, change_type: taken from the pool, passed on, ended, opened again by a human.
TAKEN, PASSED_ON, CLOSED, REOPENED = 1, 2, 3, 4


@dataclass(frozen=True)
class Serves:
    """A customer is served by a human, or by a human no longer."""

    human: bool


@dataclass(frozen=True)
class Failed:
    """A message of ours that was taken has failed; `fail_type` as in document 94670."""

    msgid: str
    fail_type: int


@dataclass(frozen=True)
class Item:
    """One item: what the ledger keeps of it, and what it changes."""

    incoming: Incoming
    origin: int
    effect: Serves | Failed | None = None


class Unreadable(Exception):
    """Not an item as the documentation has it."""


def read(account: WeComKf, open_kfid: str, body: object) -> Item:
    """One entry of `msg_list`. Raises `Unreadable`."""
    if not isinstance(body, dict):
        raise Unreadable("no object")
    msgid, sent_at, origin = body.get("msgid"), body.get("send_time"), body.get("origin")
    if not _is_id(msgid) or not isinstance(sent_at, int) or not 0 <= sent_at < LATEST:
        raise Unreadable("no msgid or time")
    event = body.get("event")
    if body.get("msgtype") == "event" and isinstance(event, dict):
        return _event(account, open_kfid, msgid, sent_at, event)
    user = body.get("external_userid")
    if not _is_id(user) or origin not in (CUSTOMER, SERVICER):
        raise Unreadable("no customer, or an unknown origin")
    name = _Name(account, open_kfid, msgid, sent_at, user)
    if origin == SERVICER:
        # Whoever reads the ledger learns that a human wrote, not what.
        return Item(_incoming(name, "servicer"), SERVICER, Serves(human=True))
    return Item(_message(name, body), CUSTOMER)


@dataclass(frozen=True)
class _Name:
    """Which item, from whom."""

    account: WeComKf
    open_kfid: str
    msgid: str
    sent_at: int
    user: str


def _incoming(name: _Name, kind: str, **more: Any) -> Incoming:
    handle = {"open_kfid": name.open_kfid, "msgid": name.msgid, "sent_at": name.sent_at}
    code = more.pop("welcome_code", "")
    return Incoming(
        dedupe_key=f"{name.account.corp_id}/{name.open_kfid}/{_short(name.msgid)}",
        platform_id=_short(name.msgid),
        user=name.user[:128],
        kind=kind[:32],
        text=more.pop("text", ""),
        sent_at=name.sent_at,
        handle=json.dumps(handle | ({"welcome_code": code} if code else {})),
        **more,
    )


def _message(name: _Name, body: Mapping[str, Any]) -> Incoming:
    """A customer's message. A click in a menu is a text: what stands on the item; on a thumb it is one."""
    kind = _text(body.get("msgtype"))
    content = body.get(kind)
    fields = content if isinstance(content, dict) else {}
    if kind in MEDIA:
        ref = _text(fields.get("media_id"))
        return _incoming(name, kind, media=(Media(MEDIA[kind], ref),) if ref else ())
    if kind == "text":
        if thumb := _thumb(_text(fields.get("menu_id"))):
            return _incoming(name, "event", event="feedback", data=thumb)
        return _incoming(name, kind, text=_text(fields.get("content")))
    return _incoming(name, kind or "unknown", text=_described(kind, fields))


def _thumb(menu_id: str) -> str:
    """The data of a thumb, as `feedback.read` takes it, where an item of that name was pressed; else empty."""
    key, slash, task = menu_id.partition("/")
    if not slash or not task or key not in KEYS:
        return ""
    return json.dumps({"TaskId": task, "EventKey": key})


def _described(kind: str, fields: Mapping[str, Any]) -> str:
    """What a place, a link or a mini program says in words; empty for all else."""
    names = {
        "location": ("name", "address"),
        "link": ("title", "desc", "url"),
        "miniprogram": ("title",),
    }.get(kind, ())
    return "\n".join(said for name in names if (said := _text(fields.get(name))))


def _event(
    account: WeComKf, open_kfid: str, msgid: str, sent_at: int, event: Mapping[str, Any]
) -> Item:
    """An event. Only one with a welcome code can be answered; the others are noted."""
    kind, user = _text(event.get("event_type")), event.get("external_userid")
    name = _Name(account, open_kfid, msgid, sent_at, str(user) if _is_id(user) else NOBODY)
    match kind:
        case "enter_session":
            code = _text(event.get("welcome_code"))
            named = "enter" if code else "enter_again"
            return Item(_incoming(name, "event", event=named, welcome_code=code), SYSTEM)
        case "msg_send_fail":
            failed = Failed(_text(event.get("fail_msgid")), _number(event.get("fail_type")))
            return Item(_incoming(name, "event", event="send_fail"), SYSTEM, failed)
        case "session_status_change":
            change = _number(event.get("change_type"))
            serves = Serves(human=change in (TAKEN, PASSED_ON, REOPENED))
            return Item(_incoming(name, "event", event="session"), SYSTEM, serves)
    return Item(_incoming(name, "event", event=kind.lower()[:32]), SYSTEM)


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and ID.fullmatch(value) is not None


def _text(value: object) -> str:
    """A text that every database can hold: JSON can write a NUL and half a surrogate pair."""
    return wxxml.clean(value).strip() if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _short(msgid: str) -> str:
    """The platform's id, or a digest of one that is longer than the ledger's column."""
    return msgid if len(msgid) <= 64 else hashlib.sha256(msgid.encode()).hexdigest()
