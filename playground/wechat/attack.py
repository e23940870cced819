"""Somebody who found the callback URL: forgeries of every kind, and what the product answers; called by `platform`."""

import base64
import secrets as randomness
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from playground.wechat.crypto import encrypt, signature
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
    for request in _series(KINDS[kind](app, message)):
        try:
            answer = call("POST", callback_url, request, within_s=WAIT_S)
        except (Cut, Broken):
            return Met(0, "")
    return Met(answer.status, answer.body.decode(errors="replace")[:SHOWN])


def _series(forged: Request | Sequence[Request]) -> Sequence[Request]:
    """Most forgeries are one request; of others the last one counts."""
    return (forged,) if isinstance(forged, Request) else forged


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


def _replayed_nonce(app: WeComApp, message: Message) -> Sequence[Request]:
    """Two rightly signed messages under one time and nonce: whoever can sign is still held to one content."""
    first = app.callback(message)
    other = replace(message, id=f"{message.id}9", text="/other")
    encrypted = encrypt(app.secrets, app.xml(other))
    timestamp, nonce = first.query["timestamp"], first.query["nonce"]
    query = {
        "msg_signature": signature(app.secrets, timestamp, nonce, encrypted),
        "timestamp": timestamp,
        "nonce": nonce,
    }
    return first, Request(query, app.envelope(encrypted))


def _shifted(app: WeComApp, message: Message) -> Request:
    """The signature joins its parts without a mark: a part of one is moved into the next."""
    request = app.callback(message)
    nonce, timestamp = request.query["nonce"], request.query["timestamp"]
    moved = {"nonce": nonce[:-1], "timestamp": nonce[-1] + timestamp}
    return replace(request, query={**request.query, **moved})


def _duplicate_parameters(app: WeComApp, message: Message) -> Request:
    return replace(app.callback(message), more="nonce=another&timestamp=1")


def _huge_query(app: WeComApp, message: Message) -> Request:
    return replace(app.callback(message), more="x=" + "y" * 6000)


def _laughs(app: WeComApp, message: Message) -> Request:
    """Entities that grow: ten levels of ten."""
    levels = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">' for n in range(10)
    )
    body = f"<!DOCTYPE xml [{levels}]><xml><Encrypt>&l9;</Encrypt></xml>".encode()
    return replace(app.callback(message), body=body)


def _external_entity(app: WeComApp, message: Message) -> Request:
    entity = '<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
    body = f"{entity}<xml><Encrypt>&e;</Encrypt></xml>".encode()
    return replace(app.callback(message), body=body)


def _deep(app: WeComApp, message: Message) -> Request:
    body = b"<xml>" + b"<a>" * 20_000
    return replace(app.callback(message), body=body)


def _deep_inside(app: WeComApp, _message: Message) -> Request:
    return app.seal("<xml>" + "<a>" * 5_000 + "</a>" * 5_000 + "</xml>")


def _json(app: WeComApp, message: Message) -> Request:
    body = b'{"encrypt": "' + b"A" * 64 + b'"}'
    return replace(app.callback(message), body=body, content_type="application/json")


def _form(app: WeComApp, message: Message) -> Request:
    """A body that a framework likes to take for fields."""
    kind = "application/x-www-form-urlencoded"
    return replace(app.callback(message), body=b"Encrypt=A&msg_signature=B", content_type=kind)


def _chunked_oversized(app: WeComApp, message: Message) -> Request:
    """Nobody says how much will come."""
    request = app.callback(message)
    return replace(request, body=request.body + b" " * TOO_MUCH, chunks=50)


def _slow(app: WeComApp, message: Message) -> Request:
    """A forged body that comes in drops."""
    return replace(_forged_signature(app, message), chunks=20, pause_s=0.1)


KINDS: dict[str, Callable[[WeComApp, Message], Request | Sequence[Request]]] = {
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
    "replayed_nonce": _replayed_nonce,
    "shifted": _shifted,
    "duplicate_parameters": _duplicate_parameters,
    "huge_query": _huge_query,
    "laughs": _laughs,
    "external_entity": _external_entity,
    "deep": _deep,
    "deep_inside": _deep_inside,
    "json": _json,
    "form": _form,
    "chunked_oversized": _chunked_oversized,
    "slow": _slow,
}
