"""What people send to a bot: the JSON of each kind of message and event (100719)."""

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A group brings these only, and each of them with an @.
IN_GROUPS = ("text", "mixed")
KINDS = ("text", "image", "mixed", "voice", "file", "video")
EVENTS = ("enter_chat", "template_card_event", "feedback_event")


@dataclass(frozen=True)
class BotMessage:
    """One message, or one event, of one person; `number` counts them."""

    id: str
    number: int
    user: str
    chat: str
    kind: str
    created_at: float
    body: dict[str, Any]

    @property
    def is_event(self) -> bool:
        return self.kind in EVENTS


@dataclass(frozen=True)
class Written:
    """What a person wrote; `media` is the address of what came with it, `quote` what they quoted."""

    user: str
    text: str
    kind: str = "text"
    chat: str = ""
    quote: str = ""
    media: str = ""


def written_message(
    written: Written, *, number: int, bot_id: str, name: str, response_url: str
) -> BotMessage:
    """A message; in a group the bot's name stands before its text."""
    text = f"@{name} {written.text}" if written.chat else written.text
    said = {"msgtype": written.kind, written.kind: _content(written, text)}
    if written.quote:
        said["quote"] = {"msgtype": "text", "text": {"content": written.quote}}
    return _message(
        said | {"response_url": response_url}, number, bot_id, written.user, written.chat
    )


def event_message(
    event: str, data: Mapping[str, Any], *, number: int, bot_id: str, user: str, flat: bool
) -> BotMessage:
    """An event with its data in an object of its own, or flat beside its type: both are seen in the field."""
    fields = dict(data) if flat else {event: dict(data)}
    return _message(
        {"msgtype": "event", "event": {"eventtype": event, **fields}}, number, bot_id, user, ""
    )


def refresh_body(message: BotMessage, stream: str) -> dict[str, Any]:
    """What asks how far a stream has come; its msgid is the message's own."""
    said = {name: message.body[name] for name in message.body if name in COMMON}
    return {**said, "msgtype": "stream", "stream": {"id": stream}}


COMMON = ("msgid", "create_time", "aibotid", "chatid", "chattype", "from")


def _content(written: Written, text: str) -> dict[str, Any]:
    match written.kind:
        case "text" | "voice":
            return {"content": text}
        case "mixed":
            return {
                "msg_item": [
                    {"msgtype": "text", "text": {"content": text}},
                    {"msgtype": "image", "image": {"url": written.media}},
                ]
            }
        case _:
            return {"url": written.media}


def _message(said: dict[str, Any], number: int, bot_id: str, user: str, chat: str) -> BotMessage:
    created_at = time.time()
    # Seen in the documentation's examples: base64 of a binary id, with all its signs.
    msg_id = "CAIQ" + base64.b64encode(secrets.token_bytes(19)).decode()
    common = {
        "msgid": msg_id,
        "create_time": int(created_at),
        "aibotid": bot_id,
        **({"chatid": chat} if chat else {}),
        "chattype": "group" if chat else "single",
        "from": {"userid": user},
    }
    event = said.get("event", {}).get("eventtype")
    kind = str(event or said["msgtype"])
    return BotMessage(msg_id, number, user, chat, kind, created_at, common | said)
