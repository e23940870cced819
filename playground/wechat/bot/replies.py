"""What a bot may answer a callback with; everything else is shown to nobody (101031, 101138)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from playground.wechat.bot.message import BotMessage
from playground.wechat.crypto import BadEnvelope
from playground.wechat.limits import BotLimits

PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True)
class StreamReply:
    """How far the answer is."""

    id: str
    content: str
    finish: bool
    feedback: str = ""
    pictures: tuple[str, ...] = ()  # their md5


@dataclass(frozen=True)
class TextReply:
    """A welcome."""

    text: str


@dataclass(frozen=True)
class CardReply:
    """A card, or the update of one; `title` is what the phone shows of it."""

    title: str
    update: bool = False


type BotReply = StreamReply | TextReply | CardReply


def read_reply(message: BotMessage, body: dict[str, Any], limits: BotLimits) -> BotReply:
    """The reply to a message or event. Raises `BadEnvelope` with what is wrong."""
    if message.kind == "template_card_event":
        if body.get("response_type") != "update_template_card":
            raise BadEnvelope("a card's event takes an update of the card only")
        return CardReply(_title(body), update=True)
    match body.get("msgtype"):
        case "stream" if not message.is_event:
            return read_stream(body, limits)
        case "text" if message.kind == "enter_chat":
            return TextReply(_text(body.get("text"), "content"))
        case "template_card" if message.kind != "feedback_event":
            return CardReply(_title(body))
    raise BadEnvelope(f"{message.kind} takes no {body.get('msgtype')}")


def read_stream(body: dict[str, Any], limits: BotLimits) -> StreamReply:
    """A stream's state. Raises `BadEnvelope`."""
    stream = body.get("stream")
    if body.get("msgtype") != "stream" or not isinstance(stream, dict):
        raise BadEnvelope("no stream")
    finish = stream.get("finish", False)
    if not isinstance(finish, bool):
        raise BadEnvelope("finish is no boolean")
    items = stream.get("msg_item")
    pictures = () if items is None else _pictures(items, finish, limits)
    name = _text(stream, "id")
    if not name:
        raise BadEnvelope("the stream has no id")
    content, feedback = _text(stream, "content"), _feedback(stream, limits)
    return StreamReply(name, content, finish, feedback, pictures)


def _feedback(stream: dict[str, Any], limits: BotLimits) -> str:
    if (feedback := stream.get("feedback")) is None:
        return ""
    name = _text(feedback, "id")
    if not 0 < len(name.encode(errors="replace")) <= limits.feedback_bytes:
        raise BadEnvelope("feedback.id is empty or too long")
    return name


def _pictures(items: Any, finish: bool, limits: BotLimits) -> tuple[str, ...]:
    """The md5 of each picture. Raises `BadEnvelope`."""
    if not finish:
        raise BadEnvelope("msg_item before the finish")
    if not isinstance(items, list) or len(items) > limits.msg_items:
        raise BadEnvelope("msg_item is no list, or too long")
    return tuple(_picture(item, limits) for item in items)


def _picture(item: Any, limits: BotLimits) -> str:
    if not isinstance(item, dict) or item.get("msgtype") != "image":
        raise BadEnvelope("msg_item holds what is no picture")
    image = item.get("image")
    try:
        data = base64.b64decode(_text(image, "base64"), validate=True)
    except binascii.Error:
        raise BadEnvelope("a picture is not base64") from None
    if len(data) > limits.msg_item_bytes or not data.startswith(PICTURES):
        raise BadEnvelope("a picture is too large, or neither JPG nor PNG")
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 != _text(image, "md5"):
        raise BadEnvelope("a picture's md5 is another")
    return md5


def _title(body: dict[str, Any]) -> str:
    card = body.get("template_card")
    title = card.get("main_title") if isinstance(card, dict) else None
    return _text(title, "title")


def _text(holder: Any, name: str) -> str:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, str):
        raise BadEnvelope(f"{name} is no text")
    return value
