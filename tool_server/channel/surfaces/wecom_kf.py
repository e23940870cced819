"""WeCom customer service (微信客服): a callback that says "there is something", kf/sync_msg in, kf/send_msg out.

Limits and codes: developer.work.weixin.qq.com, documents 94670, 94677, 94669 and 95122.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tool_server.channel import envelope, reply_card, wxxml
from tool_server.channel.account import Account, WeComKf
from tool_server.channel.surface import (
    Address,
    Api,
    Callback,
    Card,
    Choices,
    Content,
    File,
    HandOver,
    Incoming,
    Limits,
    Pull,
    Received,
    Refused,
    Text,
    Thumbs,
    words_of,
)
from tool_server.channel.wecom_api import SendError
from tool_server.words import say

# Five messages to one of the customer's; a text's length is not documented.
LIMITS = Limits(
    piece_bytes=2048, number_bytes=16, first="push", markup="plain", pieces=5, choices=10
)
REPLY_S = 48 * 3600
WELCOME_S = 20
# Bytes of a menu's text and of one item; what is longer is a text.
MENU_TEXT_BYTES, MENU_ITEM_BYTES = 1024, 128
POOL, HUMAN = 2, 3
MSGID_CHARACTERS = 32
TIME = re.compile(r"[0-9]{1,12}")
OVER_QUOTA, OVER_TIME, NO_SUCH_CHANGE = 95001, 95002, 95016
# Over the quota only the customer makes room: tried now and then, and at once when they write.
HELD_S = 3600.0
SEND, WELCOME = "/cgi-bin/kf/send_msg", "/cgi-bin/kf/send_msg_on_event"
TRANS = "/cgi-bin/kf/service_state/trans"


def verify(account: Account, callback: Callback) -> str:
    """Answer of the GET check: the decrypted `echostr`."""
    return envelope.open_echo(account, callback)


def decode(account: Account, callback: Callback, *, window_s: int, now: float) -> Received:
    """A wish to read; what else comes to this address is noted. Raises `Refused`."""
    kf = of_kf(account)
    fields = envelope.open_xml(kf, callback, window_s=window_s, now=now)
    if fields.get("ToUserName") != kf.corp_id:
        raise Refused("another corp's message")
    source = fields.get("OpenKfId", "")
    ours = not kf.open_kfids or source in kf.open_kfids
    if fields.get("Event") != "kf_msg_or_event" or not ours:
        return _noted(kf, fields)
    if not 0 < len(source) <= 64 or len(fields.get("Token", "")) > 256:
        raise Refused("no service account, or a token that is too long")
    return Pull(source, fields.get("Token", ""))


def seal_reply(account: Account, to: Address, text: str, *, now: float) -> bytes:
    """This surface has no passive replies."""
    raise NotImplementedError


def bodies(
    account: Account,
    to: Address,
    contents: Sequence[Content],
    *,
    message_id: int,
    first: int = 1,
) -> list[str]:
    """One call each: its path, its request, and until when it makes sense; a retry sends exactly this request."""
    kf, handle = of_kf(account), _Handle.of(to)
    if handle.welcome_code:
        welcome = [content for content in contents if isinstance(content, Text | Choices)][:1]
        return [_welcome(handle, said) for said in welcome]
    calls = []
    for ordinal, content in enumerate(contents, start=first):
        match content:
            case HandOver():
                calls.append(_trans(kf, to, handle))
            case Text() | File() | Choices() | Thumbs() | Card():
                calls.append(_message(to, handle, content, ordinal))
    return calls


def send(api: Api, account: Account, body: str) -> str:
    """Make one of these calls; the message's msgid, empty for a hand-over. Raises `wecom_api.SendError`."""
    call = json.loads(body)
    if time.time() > call["until"]:
        raise SendError(OVER_TIME, "the customer wrote too long ago", again_in_s=None)
    try:
        answer = api.call(account, call["path"], _json(call["request"]))
    except SendError as error:
        if error.code == NO_SUCH_CHANGE and call["path"] == TRANS:
            return ""  # it has that state already, or a human has finished
        if error.code == OVER_QUOTA:
            raise SendError(error.code, str(error), again_in_s=HELD_S) from None
        raise
    return str(answer.get("msgid", call["request"].get("msgid", "")))


def of_kf(account: Account) -> WeComKf:
    """The account as what it is."""
    if not isinstance(account, WeComKf):
        raise TypeError(f"{account.surface} is not customer service")
    return account


@dataclass(frozen=True)
class _Handle:
    """What `kf.items` keeps of a message to answer it by."""

    open_kfid: str
    msgid: str
    sent_at: int
    welcome_code: str = ""

    @classmethod
    def of(cls, to: Address) -> "_Handle":
        return cls(**json.loads(to.handle))


type _Sent = Text | File | Choices | Thumbs | Card


def _message(to: Address, handle: _Handle, content: _Sent, ordinal: int) -> str:
    request = {
        "touser": to.user,
        "open_kfid": handle.open_kfid,
        "msgid": _msgid(handle, ordinal, repr(content)),
        **_part(content),
    }
    return _call(SEND, request, until=handle.sent_at + REPLY_S)


def _welcome(handle: _Handle, said: Text | Choices) -> str:
    msgid = _msgid(handle, 1, repr(said))
    request = {"code": handle.welcome_code, "msgid": msgid, **_part(said)}
    return _call(WELCOME, request, until=handle.sent_at + WELCOME_S)


def _trans(kf: WeComKf, to: Address, handle: _Handle) -> str:
    request: dict[str, object] = {"open_kfid": handle.open_kfid, "external_userid": to.user}
    request["service_state"] = HUMAN if kf.servicer else POOL
    if kf.servicer:
        request["servicer_userid"] = kf.servicer
    return _call(TRANS, request, until=handle.sent_at + REPLY_S)


def _part(content: _Sent) -> dict[str, object]:
    match content:
        case Choices(text, heading, questions) if _fits(content):
            items = {f"ask/{number}": question for number, question in enumerate(questions)}
            return _menu(f"{text}\n\n{heading}", items)
        case Text() | Choices():
            return {"msgtype": "text", "text": {"content": wxxml.clean(words_of(content))}}
        case Thumbs(task, language):
            items = {f"like/{task}": say("thumb_up", language)}
            items[f"dislike/{task}"] = say("thumb_down", language)
            return _menu(say("was_it_good", language), items)
        case File(kind, media_id):
            return {"msgtype": kind, kind: {"media_id": media_id}}
        case Card():
            return reply_card.of_kf(content)


def _menu(text: str, items: Mapping[str, str]) -> dict[str, object]:
    """A text with items to press, at most ten (94677); a press comes back as a text with its item's id."""
    clicks = [
        {"type": "click", "click": {"id": name, "content": wxxml.clean(said)}}
        for name, said in items.items()
    ]
    return {"msgtype": "msgmenu", "msgmenu": {"head_content": wxxml.clean(text), "list": clicks}}


def _fits(said: Choices) -> bool:
    text = f"{said.text}\n\n{said.heading}"
    items = (len(question.encode()) <= MENU_ITEM_BYTES for question in said.questions)
    return len(text.encode()) <= MENU_TEXT_BYTES and all(items)


def _msgid(handle: _Handle, ordinal: int, content: str) -> str:
    """The same for a retry, another for everything else, also after a new installation: it rests on the customer's."""
    name = "\0".join((handle.open_kfid, handle.msgid, str(ordinal), content))
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:MSGID_CHARACTERS]


def _call(path: str, request: Mapping[str, object], *, until: int) -> str:
    return _json({"path": path, "until": until, "request": request})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _noted(kf: WeComKf, fields: Mapping[str, str]) -> Incoming:
    """An event of the app that has nothing to do with customer service."""
    sent_at, event = fields.get("CreateTime", ""), fields.get("Event", "")
    if not TIME.fullmatch(sent_at):
        raise Refused("no time")
    user = fields.get("FromUserName") or "nobody"
    name = fields.get("MsgId") or f"{user}-{sent_at}-{event}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return Incoming(
        dedupe_key=f"{kf.corp_id}/kf-callback/{digest}",
        platform_id=digest,
        user=user[:128],
        kind="event",
        event=f"callback.{event.lower()}"[:32],
        text="",
        sent_at=int(sent_at),
    )
