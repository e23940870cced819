"""WeCom self-built app (企业微信自建应用): XML callback in, passive reply and message/send out.

Limits and codes: developer.work.weixin.qq.com, documents 90236, 90238-90241 and 96484.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence

from tool_server.channel import card, envelope, reply_card, wxxml
from tool_server.channel.account import Account, WeComApp
from tool_server.channel.surface import (
    Address,
    Api,
    Callback,
    Card,
    Content,
    File,
    Incoming,
    Limits,
    Media,
    Received,
    Refused,
    Text,
    Thumbs,
)

# A text has 2048 bytes, the rest is cut silently (90236).
LIMITS = Limits(piece_bytes=2048, number_bytes=16, first="passive", markup="subset")
PRESSED = "template_card_event"
# What the channel calls the events that it looks at (90240).
EVENTS = {
    "subscribe": "enter",
    "enter_agent": "enter",
    "click": "click",
    PRESSED: "card",
}
# The platform drops the same request to the same user within this time (90236: default 1800 s, at most 4 hours).
DUPLICATE_WINDOW_S = 1800
LONGEST_DUPLICATE_WINDOW_S = 14400
COMMON = ("ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "AgentID")
TIME = re.compile(r"[0-9]{1,12}")


def verify(account: Account, callback: Callback) -> str:
    """Answer of the GET check: the decrypted `echostr`."""
    return envelope.open_echo(account, callback)


def decode(account: Account, callback: Callback, *, window_s: int, now: float) -> Received:
    """The message of a POST; raises `Refused` for all that is wrong with it."""
    account = of_app(account)
    fields = envelope.open_xml(account, callback, window_s=window_s, now=now)
    if fields.get("ToUserName") != account.corp_id or fields.get("AgentID") != str(
        account.agent_id
    ):
        raise Refused("another app's message")
    return _incoming(account, fields)


def seal_reply(account: Account, to: Address, text: str, *, now: float) -> bytes:
    """The bytes of a passive reply; made once, every delivery of the message gets the same."""
    app = of_app(account)
    inner = wxxml.reply(text, to=to.user, sender=app.corp_id, created_at=int(now))
    sealed = app.crypt.seal(inner, timestamp=str(int(now)), nonce=secrets.token_hex(8))
    return wxxml.envelope(sealed)


def bodies(
    account: Account,
    to: Address,
    contents: Sequence[Content],
    *,
    message_id: int,
    first: int = 1,
) -> list[str]:
    """The JSON of each message/send. A retry sends exactly these bytes, so that the platform can drop it."""
    app = of_app(account)
    return [_body(app, to, content, message_id) for content in contents]


def send(api: Api, account: Account, body: str) -> str:
    """Push one piece; the platform's id of it."""
    return str(api.call(account, "/cgi-bin/message/send", body).get("msgid", ""))


def of_app(account: Account) -> WeComApp:
    """The account as what it is."""
    if not isinstance(account, WeComApp):
        raise TypeError(f"{account.surface} is not a self-built app")
    return account


def _body(app: WeComApp, to: Address, content: Content, message_id: int) -> str:
    """Two answers with one text ("I don't know") must not be taken for a retry: the window differs by message."""
    spread = LONGEST_DUPLICATE_WINDOW_S - DUPLICATE_WINDOW_S
    match content:
        case Text(text):
            kind = app.markup
            part: dict[str, object] = {"msgtype": kind, kind: {"content": wxxml.clean(text)}}
        case File(kind, media_id):
            part = {"msgtype": kind, kind: {"media_id": media_id}}
        case Thumbs(task, language):
            part = {"msgtype": "template_card", "template_card": card.thumbs(task, language)}
        case Card():
            part = reply_card.of_app(content)
    body = {
        "touser": to.user,
        **part,
        "agentid": app.agent_id,
        "enable_duplicate_check": 1,
        "duplicate_check_interval": DUPLICATE_WINDOW_S + message_id % spread,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _incoming(account: WeComApp, fields: Mapping[str, str]) -> Incoming:
    user, kind = fields.get("FromUserName", ""), fields.get("MsgType", "")
    sent_at = fields.get("CreateTime", "")
    if not user or not kind or not TIME.fullmatch(sent_at):
        raise Refused("no sender, kind or time")
    # Events have no MsgId: their sender and time stand in for it (90240).
    platform_id = fields.get("MsgId") or f"{user}-{sent_at}-{fields.get('Event', '')}"
    event = fields.get("Event", "").lower()[:32]
    asks = reply_card.asked_by(fields.get("EventKey", "")) if event == PRESSED else ""
    return Incoming(
        dedupe_key=f"{account.corp_id}/{account.agent_id}/{platform_id}"[:200],
        platform_id=platform_id[:64],
        user=user[:128],
        kind=kind[:32],
        event="click" if asks else EVENTS.get(event, event),
        text=asks or _text(kind, event, fields),
        sent_at=int(sent_at),
        data=_event_data(fields) if kind == "event" else "",
        media=_media(kind, fields),
    )


def _text(kind: str, event: str, fields: Mapping[str, str]) -> str:
    """What a message says: its content, a pressed button's key, or a link's title, description and address."""
    match kind:
        case "link":
            parts = (fields.get(name, "").strip() for name in ("Title", "Description", "Url"))
            return "\n".join(part for part in parts if part)
        case "event":
            return fields.get("EventKey", "").strip() if event == "click" else ""
        case _:
            return fields.get("Content", "").strip()


def _media(kind: str, fields: Mapping[str, str]) -> tuple[Media, ...]:
    """Pictures, voices and videos lie with the platform for three days (90239)."""
    media_id = fields.get("MediaId", "")
    match kind:
        case "image" | "video" if media_id:
            return (Media(kind, media_id),)
        case "voice" if media_id:
            return (Media("voice", media_id, name=f"voice.{fields.get('Format', 'amr').lower()}"),)
        case _:
            return ()


def _event_data(fields: Mapping[str, str]) -> str:
    """What an event carries besides the fields that all have, by the platform's names."""
    rest = {name: value for name, value in fields.items() if name not in COMMON}
    return json.dumps(rest, ensure_ascii=False)
