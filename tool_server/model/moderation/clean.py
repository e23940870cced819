"""What comes in, without what no reader sees: controls, hidden text, direction tricks; called before the chat template.

Chinese of all planes, emoji, HTML and code pass unchanged. The form is NFC, never NFKC: full-width characters, circled
numbers and compatibility ideographs mean something to a reader.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tool_server.model.moderation.marks import bound_marks

REPLACEMENT = "\ufffd"

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_PICTURE = (
    "\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u21ff\u231a-\u2328\u2388-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001fbff"
)
# Letters and marks that a joiner shapes: Arabic and its relatives, the scripts of India and its neighbours, Mongolian.
_SHAPED = (
    "\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06ff\u0710-\u074a\u074d-\u077f\u07ca-\u07f5\u0860-\u08e1\u08e3-\u08ff"
    "\u0900-\u0963\u0971-\u0df3\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3\u1820-\u18aa\u1a20-\u1a7f\u1b00-\u1bff"
    "\ua840-\ua873\ua880-\ua8ff\uaa00-\uaaff\uabc0-\uabed\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010aff\U00011000-\U00011dff"
)
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    chr(end - 1) + chr(end) for end in range(0xFFFF, 0x110000, 0x10000)
)
_DROPPED = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"
    f"\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff{_NONCHARACTERS}"
)
_MARKS, _CONTROLS = "\u200e\u200f\u061c", "\u202a-\u202e\u2066-\u2069"
# A text without any of it is only brought to NFC.
_SUSPECT = re.compile(f"[\r\ud800-\udfff{_DROPPED}{_MARKS}{_CONTROLS}]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")
# First, by name, what is kept because of what stands before it; then what goes.
_HIDDEN = re.compile(
    "(?P<flag>\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"
    f"|(?<=[{_PICTURE}\ufe0f\U0001f3fb-\U0001f3ff])(?P<emoji>\u200d)(?=[{_PICTURE}])"
    f"|(?<=[{_SHAPED}])(?P<joiner>[\u200c\u200d])"
    f"|(?<=[{_PICTURE}0-9#*])(?P<style>[\ufe0e\ufe0f])"
    f"|(?<=[{_HAN}])(?P<variant>[\ufe00-\ufe0f\U000e0100-\U000e01ef])"
    "|(?<=[\u2200-\u22ff\u2a00-\u2aff\u1000-\u109f\ua840-\ua877])(?P<symbol>\ufe00)"
    "|(?<=[\u1820-\u18aa])(?P<mongolian>[\u180b-\u180f])"
    f"|[{_DROPPED}]"
)
_COMPATIBLE = re.compile("([\uf900-\ufaff\U0002f800-\U0002fa1f]+)")
_PARAGRAPH = re.compile("([\n\u2029])")
_DIRECTION = re.compile(f"[{_MARKS}{_CONTROLS}]")
_IS_RIGHT_TO_LEFT = re.compile(f"[{_RIGHT_TO_LEFT}]")
_EMBEDDINGS, _ISOLATES = "\u202a\u202b\u202d\u202e", "\u2066\u2067\u2068"
_POP_EMBEDDING, _POP_ISOLATE = "\u202c", "\u2069"


def clean_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages as a chat template takes them, each text in them cleaned, also in parts and tool calls."""
    return [{name: _clean_value(value) for name, value in message.items()} for message in messages]


def clean(text: str) -> str:
    """The text as a model may read it. What is clean stays the same object of the same characters."""
    text = bound_marks(text)
    while _SUSPECT.search(text):
        cleaned = _compose(bound_marks(_clean_once(text)))
        if cleaned == text:
            return text
        text = cleaned  # what stood apart may stand together now: look again
    return _compose(text)


def _clean_value(value: Any) -> Any:
    """JSON with its texts cleaned; names stay, they are not the caller's words."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean_value(item) for item in value]
    if isinstance(value, dict):
        return {name: _clean_value(item) for name, item in value.items()}
    return value


def _clean_once(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    text = _LONE.sub(REPLACEMENT, text)
    text = _HIDDEN.sub(lambda found: found[0] if found.lastgroup else "", text)
    if _DIRECTION.search(text):
        text = "".join(_level(paragraph) for paragraph in _PARAGRAPH.split(text))
    return text


def _compose(text: str) -> str:
    """NFC, but for compatibility ideographs: NFC would put another character in their place."""
    if unicodedata.is_normalized("NFC", text):
        return text
    parts = _COMPATIBLE.split(text)
    parts[::2] = [unicodedata.normalize("NFC", part) for part in parts[::2]]
    return "".join(parts)


def _level(paragraph: str) -> str:
    """Without direction controls that are not closed here, and without direction marks where nothing runs leftwards."""
    gone = _unbalanced(paragraph)
    if not _IS_RIGHT_TO_LEFT.search(paragraph):
        gone |= {at for at, char in enumerate(paragraph) if char in _MARKS}
    return "".join(char for at, char in enumerate(paragraph) if at not in gone)


def _unbalanced(paragraph: str) -> set[int]:
    """Places of the controls that have no partner, as bidirectional text pairs them (UAX #9)."""
    open_at: list[int] = []
    isolates = 0
    gone: set[int] = set()
    for at, char in enumerate(paragraph):
        if char in _EMBEDDINGS or char in _ISOLATES:
            open_at.append(at)
            isolates += char in _ISOLATES
        elif char == _POP_EMBEDDING:
            if open_at and paragraph[open_at[-1]] in _EMBEDDINGS:
                open_at.pop()
            else:
                gone.add(at)
        elif char == _POP_ISOLATE and isolates:
            while paragraph[open_at[-1]] in _EMBEDDINGS:  # left open inside it
                gone.add(open_at.pop())
            open_at.pop()
            isolates -= 1
        elif char == _POP_ISOLATE:
            gone.add(at)
    return gone | set(open_at)
