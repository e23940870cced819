"""WeCom self-built app (企业微信自建应用): XML callback in, passive reply and message/send out.

Limits and codes: developer.work.weixin.qq.com, documents 90236, 90238-90241 and 96484.
"""

import json
import secrets
from collections.abc import Mapping, Sequence

from tool_server.channel import wxxml
from tool_server.channel.account import Account, WeComApp
from tool_server.channel.surface import (
    Address,
    Api,
    Callback,
    Content,
    File,
    Incoming,
    Limits,
    Received,
    Refused,
    Text,
)
from tool_server.channel.wxcrypt import CryptoError

# A text has 2048 bytes, the rest is cut silently (90236).
LIMITS = Limits(piece_bytes=2048, number_bytes=16, first="passive", markup="subset")
# The platform drops the same request to the same user within this time (90236: default 1800 s, at most 4 hours).
DUPLICATE_WINDOW_S = 1800
LONGEST_DUPLICATE_WINDOW_S = 14400


def verify(account: Account, callback: Callback) -> str:
    """Answer of the GET check: the decrypted `echostr`."""
    query = callback.query
    try:
        return account.crypt.open(
            query.get("echostr", ""),
            signature=query.get("msg_signature", ""),
            timestamp=query.get("timestamp", ""),
            nonce=query.get("nonce", ""),
        )
    except CryptoError as error:
        raise Refused(str(error)) from None


def decode(account: Account, callback: Callback, *, window_s: int, now: float) -> Received:
    """The message of a POST; raises `Refused` for all that is wrong with it."""
    account = of_app(account)
    query = callback.query
    _check_window(query.get("timestamp", ""), window_s, now)
    try:
        outer = wxxml.parse(callback.body)
        inner = account.crypt.open(
            outer.get("Encrypt", ""),
            signature=query.get("msg_signature", ""),
            timestamp=query.get("timestamp", ""),
            nonce=query.get("nonce", ""),
        )
        fields = wxxml.parse(inner)
    except (CryptoError, wxxml.XmlError) as error:
        raise Refused(str(error)) from None
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
    account: Account, to: Address, contents: Sequence[Content], *, message_id: int
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
            part: dict[str, object] = {"msgtype": "text", "text": {"content": wxxml.clean(text)}}
        case File(kind, media_id):
            part = {"msgtype": kind, kind: {"media_id": media_id}}
    body = {
        "touser": to.user,
        **part,
        "agentid": app.agent_id,
        "enable_duplicate_check": 1,
        "duplicate_check_interval": DUPLICATE_WINDOW_S + message_id % spread,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _check_window(timestamp: str, window_s: int, now: float) -> None:
    """Refuse a callback whose time is too far from ours; the platform signs the time with the rest."""
    if window_s == 0:
        return
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > window_s:
        raise Refused("timestamp")


def _incoming(account: WeComApp, fields: Mapping[str, str]) -> Incoming:
    user, kind = fields.get("FromUserName", ""), fields.get("MsgType", "")
    sent_at = fields.get("CreateTime", "")
    if not user or not kind or not sent_at.isdigit():
        raise Refused("no sender, kind or time")
    # Events have no MsgId: their sender and time stand in for it (90240).
    platform_id = fields.get("MsgId") or f"{user}-{sent_at}-{fields.get('Event', '')}"
    return Incoming(
        dedupe_key=f"{account.corp_id}/{account.agent_id}/{platform_id}"[:200],
        platform_id=platform_id[:64],
        user=user[:128],
        kind=kind[:32],
        event=fields.get("Event", "").lower()[:32],
        text=fields.get("Content", "").strip(),
        sent_at=int(sent_at),
    )
