"""What an AI bot receives, as JSON: one message or event of a person; shared by the bot's two modes.

Shapes: developer.work.weixin.qq.com, documents 100719, 101027 and 101463.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tool_server.channel import reply_card
from tool_server.channel.surface import Incoming, Media, MediaKind, Refused

# The platform's events by the names that `kinds` knows.
EVENTS = {"enter_chat": "enter", "template_card_event": "card", "feedback_event": "feedback"}
MEDIA: Mapping[str, MediaKind] = {"image": "image", "file": "file", "video": "video"}
# Characters of a quoted message that are kept.
QUOTE_CHARACTERS = 4000
QUOTED = ("text", "voice", "mixed", "image", "file", "video")
# Seconds since 1970 that a time column holds; what is beyond is no time.
LATEST = 1 << 40
# Parts of a mixed message that are read.
ITEMS = 50
# How a group calls the bot: at the beginning of the text, else at its end; a space of any kind ends the name.
CALLED_FIRST = re.compile(r"\A\s*@\S+(?:\s+|\Z)")
CALLED_LAST = re.compile(r"(?:\A|\s+)@\S+\s*\Z")


def read_object(text: str | bytes) -> Mapping[str, object]:
    """The JSON object in `text`; a name that comes twice, or a number that JSON has not, is refused."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(found, dict):
        raise Refused("no JSON object")
    return found


def incoming_of(bot: str, body: Mapping[str, object]) -> Incoming:
    """The message in `body`; `bot` names the bot in the key that tells repeats. Raises `Refused`."""
    kind, message_id = _text(body, "msgtype"), _text(body, "msgid")
    user = _text(_part(body, "from"), "userid")
    if not kind or not message_id or not user:
        raise Refused("no sender, kind or id")
    content = _content(kind, body)
    chat = _text(body, "chatid") if body.get("chattype") == "group" else ""
    quote = _quote(body)
    sent_at = body.get("create_time")
    return Incoming(
        dedupe_key=f"bot/{bot}/{message_id}"[:200],
        platform_id=message_id[:64],
        user=user[:128],
        kind=kind[:32],
        text=_uncalled(content.text) if chat else content.text,
        sent_at=sent_at if isinstance(sent_at, int) and 0 < sent_at < LATEST else 0,
        chat=chat[:128],
        event=content.event[:32],
        data=content.data,
        media=(*content.media, *quote.media),
        quote=quote.text[:QUOTE_CHARACTERS],
        handle=_text(body, "response_url"),
    )


@dataclass(frozen=True)
class _Content:
    text: str = ""
    event: str = ""
    data: str = ""
    media: Sequence[Media] = ()


def _content(kind: str, body: Mapping[str, object]) -> _Content:
    part = _part(body, kind)
    match kind:
        case "text" | "voice":
            return _Content(text=_text(part, "content").strip())
        case "mixed":
            items = [item for item in _items(part) if item]
            texts = [_content("text", item).text for item in items]
            media = [one for item in items for one in _media(_text(item, "msgtype"), item)]
            return _Content(text="\n".join(text for text in texts if text), media=media)
        case "event":
            name = _text(part, "eventtype")
            inner = part.get(name)  # the data lies inside, or flat
            data = inner if isinstance(inner, dict) else part
            data_json = _storable(json.dumps(data, ensure_ascii=False))
            if asks := reply_card.asked_by(_text(data, "event_key")):
                return _Content(asks, "click", data_json)
            return _Content(event=EVENTS.get(name, name), data=data_json)
        case _:
            return _Content(media=_media(kind, body))


def _media(kind: str, holder: Mapping[str, object]) -> list[Media]:
    part = _part(holder, kind)
    url = _text(part, "url")
    if kind not in MEDIA or not url:
        return []
    return [Media(MEDIA[kind], url, _text(part, "aeskey"), _text(part, "filename"))]


def _quote(body: Mapping[str, object]) -> _Content:
    """What the person answers to; a quoted picture or file comes with the message."""
    quote = _part(body, "quote")
    kind = _text(quote, "msgtype")
    return _content(kind, quote) if kind in QUOTED else _Content()


def _uncalled(text: str) -> str:
    """A group's text without the name by which the bot was called."""
    shorter, called = CALLED_FIRST.subn("", text)
    return (shorter if called else CALLED_LAST.sub("", text)).strip()


def _items(part: Mapping[str, object]) -> list[Mapping[str, object]]:
    items = part.get("msg_item")
    if not isinstance(items, list):
        return []
    return [item for item in items[:ITEMS] if isinstance(item, dict)]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _no_number(name: str) -> object:
    raise ValueError(name)


def _part(holder: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = holder.get(name)
    return part if isinstance(part, dict) else {}


def _text(holder: Mapping[str, object], name: str) -> str:
    value = holder.get(name)
    return _storable(value) if isinstance(value, str) else ""


def _storable(text: str) -> str:
    """JSON can write half a surrogate pair, and a zero that no database takes."""
    return text.encode(errors="replace").decode().replace("\0", "")
