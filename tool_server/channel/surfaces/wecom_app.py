"""WeCom self-built app (企业微信自建应用): XML callback in, passive reply and message/send out.

Limits and codes: developer.work.weixin.qq.com, documents 90236, 90238-90241 and 96484.
"""

import json
import secrets
import time
from typing import Any

from tool_server.channel import wxxml
from tool_server.channel.accounts import Account
from tool_server.channel.surface import Callback, Incoming, Limits
from tool_server.channel.wxcrypt import CryptoError

# A text has 2048 bytes, the rest is cut silently (90236). The tail makes each piece unique.
LIMITS = Limits(piece_bytes=2048, piece_tail_bytes=24)
# The platform drops the same JSON to the same user within this time (90236: at most 4 hours).
DUPLICATE_WINDOW_S = 1800


class Refused(Exception):
    """A callback that is not to be trusted; the reason is for the log, never for the sender."""


def verify(account: Account, callback: Callback) -> str:
    """Answer of the GET check: the decrypted `echostr`."""
    query = callback.query
    try:
        return account.crypt().open(
            query.get("echostr", ""),
            signature=query.get("msg_signature", ""),
            timestamp=query.get("timestamp", ""),
            nonce=query.get("nonce", ""),
        )
    except CryptoError as error:
        raise Refused(str(error)) from None


def decode(account: Account, callback: Callback, *, window_s: int, now: float) -> Incoming:
    """The message of a POST; raises `Refused` for all that is wrong with it."""
    query = callback.query
    _check_window(query.get("timestamp", ""), window_s, now)
    try:
        outer = wxxml.parse(callback.body)
        inner = account.crypt().open(
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


def seal_reply(account: Account, message: Any, text: str) -> bytes:
    """The bytes of a passive reply; made once, every delivery of the message gets the same."""
    now = int(time.time())
    inner = wxxml.reply(text, to=message.user, sender=account.corp_id, created_at=now)
    sealed = account.crypt().seal(inner, timestamp=str(now), nonce=secrets.token_hex(8))
    return wxxml.envelope(sealed)


def send_body(account: Account, user: str, text: str) -> str:
    """The JSON of one message/send. A retry sends exactly these bytes, so that the platform can drop it."""
    body = {
        "touser": user,
        "msgtype": "text",
        "agentid": account.agent_id,
        "text": {"content": wxxml.clean(text)},
        "enable_duplicate_check": 1,
        "duplicate_check_interval": DUPLICATE_WINDOW_S,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _check_window(timestamp: str, window_s: int, now: float) -> None:
    """Refuse a callback whose time is too far from ours; the platform signs the time with the rest."""
    if window_s == 0:
        return
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > window_s:
        raise Refused("timestamp")


def _incoming(account: Account, fields: Any) -> Incoming:
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
        text=fields.get("Content", "").strip(),
        sent_at=int(sent_at),
    )
