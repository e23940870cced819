"""WeCom AI bot (智能机器人) by long connection: messages and streams as frames; see `bot_socket` for the connection.

Limits and codes: developer.work.weixin.qq.com, document 101463.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tool_server.channel import card, reply_card
from tool_server.channel.account import Account, WeComBotSocket
from tool_server.channel.ledger import stream_id
from tool_server.channel.surface import (
    Address,
    Api,
    Callback,
    Card,
    Choices,
    Content,
    File,
    Incoming,
    Limits,
    Received,
    Refused,
    Text,
    words_of,
)
from tool_server.channel.surfaces.bot_message import incoming_of
from tool_server.channel.wecom_api import SendError

LIMITS = Limits(
    piece_bytes=20480,
    number_bytes=16,
    first="push",
    markup="full",
    stream_s=360.0,  # a stream lives six minutes from its first frame
    choices=6,  # buttons of a card
)
RESPOND = "aibot_respond_msg"
WELCOME = "aibot_respond_welcome_msg"
UPDATE = "aibot_respond_update_msg"
SEND = "aibot_send_msg"
# Questions that are longer would be cut on a button; they stand in a text.
BUTTON_CHARACTERS = 16
# A card of questions is known by its task; what follows is its message's stream.
TASK = "ask-"
TASK_CHARACTERS = 128
# The platform does not know the callback (any more), or its stream's time is over: the rest goes as a message.
TOO_LATE = (846605, 846608)
# Our clock starts with the message, and a frame is on its way for a while.
STREAM_MARGIN_S = 10.0
SINGLE, GROUP = 1, 2


@dataclass(frozen=True)
class Handle:
    """What an answer needs of its message: the callback's id, its stream, and when it came."""

    req_id: str
    stream: str
    at: float
    welcome: bool = False
    task: str = ""  # of the card on which it was asked

    @classmethod
    def read(cls, text: str) -> "Handle":
        """A message that came another way has none: whatever answers it goes as a message of its own."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls("", "", 0.0)

    def write(self) -> str:
        return json.dumps(asdict(self))


def incoming(account: Account, req_id: str, body: Mapping[str, Any], *, now: float) -> Incoming:
    """The message or event that a callback's frame brings. Raises `Refused`."""
    message = incoming_of(of_bot(account).bot_id, body)
    handle = Handle(req_id, stream_id(message.dedupe_key), now, message.event == "enter")
    if message.event == "click":
        # An event opens no stream: what it asks is answered by a message.
        handle = Handle(req_id, "", now, task=_task(message))
    return replace(message, handle=handle.write())


def verify(account: Account, callback: Callback) -> str:
    """There is no address to check."""
    raise Refused("a bot with a long connection has no callbacks")


def decode(account: Account, callback: Callback, *, window_s: int, now: float) -> Received:
    """Nothing comes by HTTP."""
    raise Refused("a bot with a long connection has no callbacks")


def seal_reply(account: Account, to: Address, text: str, *, now: float) -> bytes:
    """Nothing is answered by HTTP."""
    raise TypeError("a long connection has no passive replies")


def bodies(
    account: Account,
    to: Address,
    contents: Sequence[Content],
    *,
    message_id: int,
    first: int = 1,
) -> list[str]:
    """The frames of an answer: the first text ends the message's stream, all others are messages of their own."""
    handle = Handle.read(to.handle)
    frames = []
    for number, content in enumerate(contents, start=first):
        req_id = f"push-{message_id}-{number}"
        if isinstance(content, Choices) and not _fits(content):
            content = Text(content.plain)
        frame = _message(to, content, req_id)
        if number == 1 and isinstance(content, Text | Choices):
            frame = _first(handle, content, frame)
        frames.append(json.dumps(frame, ensure_ascii=False, separators=(",", ":")))
    return frames


def send(api: Api, account: Account, body: str) -> str:
    """Send one of them. A first piece whose stream is over goes as a message. Raises `SendError`."""
    frame = json.loads(body)
    late = time.time() > frame.get("until", float("inf"))
    if not late:
        try:
            api.call(account, frame["cmd"], body)
        except SendError as error:
            late = error.code in TOO_LATE and "instead" in frame
            if not late:
                raise
    if late:
        api.call(account, SEND, json.dumps(_instead(frame), ensure_ascii=False))
    return str(frame["headers"]["req_id"])


def growing(handle: Handle, text: str) -> dict[str, Any]:
    """The body of a frame that shows how far a stream has come."""
    return _stream(handle, text, finish=False)


def chosen(to: Address, welcome: str, question: str) -> str:
    """The frame that shows on the card of a `welcome` (the frame that brought it) which question was pressed.

    The platform takes it for five seconds. Empty where the welcome was no card.
    """
    before = json.loads(welcome)["body"].get("template_card")
    if before is None:
        return ""
    changed = card.chosen(before, question)
    body = {"response_type": "update_template_card", "template_card": changed}
    headers = {"req_id": Handle.read(to.handle).req_id}
    return json.dumps({"cmd": UPDATE, "headers": headers, "body": body}, ensure_ascii=False)


def card_of(to: Address) -> str:
    """The stream of the message that the pressed card of questions answers; empty for a press on any other card."""
    task = Handle.read(to.handle).task
    return task.removeprefix(TASK) if task.startswith(TASK) else ""


def of_bot(account: Account) -> WeComBotSocket:
    """The account as what it is."""
    if not isinstance(account, WeComBotSocket):
        raise TypeError(f"{account.surface} is not a bot with a long connection")
    return account


def _first(handle: Handle, content: Text | Choices, message: dict[str, Any]) -> dict[str, Any]:
    """The answer to the callback itself; `instead` says where to, once that is too late."""
    if handle.welcome:
        body = _welcome(handle, content)
        return {"cmd": WELCOME, "headers": {"req_id": handle.req_id}, "body": body}
    if not handle.stream:
        return message
    to = {name: message["body"][name] for name in ("chatid", "chat_type")}
    return {
        "cmd": RESPOND,
        "headers": {"req_id": handle.req_id},
        "body": _stream(handle, words_of(content), finish=True),
        "until": handle.at + LIMITS.stream_s - STREAM_MARGIN_S,
        "instead": {"to": to, "req_id": message["headers"]["req_id"]},
    }


def _welcome(handle: Handle, content: Text | Choices) -> dict[str, Any]:
    match content:
        case Text(text):
            return {"msgtype": "text", "text": {"content": text}}
        case Choices():
            shown = card.choices(f"{TASK}{handle.stream}", content)
            return {"msgtype": "template_card", "template_card": shown}


def _stream(handle: Handle, text: str, *, finish: bool) -> dict[str, Any]:
    stream = {"id": handle.stream, "finish": finish, "content": text}
    return {"msgtype": "stream", "stream": {**stream, "feedback": {"id": handle.stream}}}


def _message(to: Address, content: Content, req_id: str) -> dict[str, Any]:
    match content:
        case Text() | Choices():
            part: dict[str, Any] = {"msgtype": "markdown"}
            part["markdown"] = {"content": words_of(content)}
        case File(kind, media_id):
            part = {"msgtype": kind, kind: {"media_id": media_id}}
        case Card():
            part = reply_card.of_bot(content)
    chat_type = GROUP if to.chat else SINGLE
    where = {"chatid": to.chat or to.user, "chat_type": chat_type}
    return {"cmd": SEND, "headers": {"req_id": req_id}, "body": {**where, **part}}


def _fits(said: Choices) -> bool:
    return all(len(question) <= BUTTON_CHARACTERS for question in said.questions)


def _task(message: Incoming) -> str:
    task = json.loads(message.data).get("task_id")
    return task[:TASK_CHARACTERS] if isinstance(task, str) else ""


def _instead(frame: Mapping[str, Any]) -> dict[str, Any]:
    """The same text as a message of its own, with an id of its own."""
    instead = frame["instead"]
    content = frame["body"]["stream"]["content"]
    body = {**instead["to"], "msgtype": "markdown", "markdown": {"content": content}}
    return {"cmd": SEND, "headers": {"req_id": instead["req_id"]}, "body": body}
