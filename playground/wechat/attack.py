"""Somebody who found the callback URL: forgeries of every kind, and what the product answers; called by `platform`."""

import base64
import secrets as randomness
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from playground.wechat.message import Message
from playground.wechat.wecom_app import WeComApp
from playground.wechat.wire import Broken, Cut, Request, call

WAIT_S = 10.0
DAY_S = 86400
TOO_MUCH = 1_000_000
SHOWN = 2000


@dataclass(frozen=True)
class Met:
    """What the attacker got; status 0 where the connection ended without an answer."""

    status: int
    body: str


def attack(app: WeComApp, callback_url: str, kind: str, message: Message) -> Met:
    """Send one forgery. Raises `KeyError` for an unknown kind."""
    request = KINDS[kind](app, message)
    try:
        answer = call("POST", callback_url, request, within_s=WAIT_S)
    except (Cut, Broken):
        return Met(0, "")
    return Met(answer.status, answer.body.decode(errors="replace")[:SHOWN])


def _forged_signature(app: WeComApp, message: Message) -> Request:
    request = app.callback(message)
    return replace(request, query={**request.query, "msg_signature": "0" * 40})


def _unsigned(app: WeComApp, message: Message) -> Request:
    return replace(app.callback(message), query={})


def _truncated(app: WeComApp, message: Message) -> Request:
    request = app.callback(message)
    return replace(request, body=request.body[: len(request.body) // 2])


def _foreign_receive_id(app: WeComApp, message: Message) -> Request:
    return app.seal(app.xml(message), secrets=replace(app.secrets, receive_id="wwsomebodyelse"))


def _empty_receive_id(app: WeComApp, message: Message) -> Request:
    return app.seal(app.xml(message), secrets=replace(app.secrets, receive_id=""))


def _old_timestamp(app: WeComApp, message: Message) -> Request:
    return app.seal(app.xml(message), at=time.time() - DAY_S)


def _plain_body(app: WeComApp, message: Message) -> Request:
    return replace(app.callback(message), body=app.xml(message).encode())


def _garbage_inside(app: WeComApp, _message: Message) -> Request:
    """Random blocks under a right signature: what reaches the decryption."""
    encrypted = base64.b64encode(randomness.token_bytes(320)).decode()
    return Request(app.signed(encrypted), app.envelope(encrypted))


def _oversized(app: WeComApp, message: Message) -> Request:
    request = app.callback(message)
    return replace(request, body=request.body + b" " * TOO_MUCH)


def _garbage(app: WeComApp, message: Message) -> Request:
    return replace(app.callback(message), body=randomness.token_bytes(300))


KINDS: dict[str, Callable[[WeComApp, Message], Request]] = {
    "forged_signature": _forged_signature,
    "unsigned": _unsigned,
    "truncated": _truncated,
    "foreign_receive_id": _foreign_receive_id,
    "empty_receive_id": _empty_receive_id,
    "old_timestamp": _old_timestamp,
    "plain_body": _plain_body,
    "garbage_inside": _garbage_inside,
    "oversized": _oversized,
    "garbage": _garbage,
}
