"""What a message/send may hold besides its receivers (90236), and how it looks on a phone; called by `api`."""

from dataclasses import dataclass
from typing import Any

from playground.wechat.cards import Cards
from playground.wechat.limits import Limits, cut
from playground.wechat.media import KINDS, Media
from playground.wechat.textcard import textcard_fault, textcard_shown

WRITTEN = ("text", "markdown")


@dataclass(frozen=True)
class Contents:
    """Reads contents; media must lie here, cards are kept."""

    limits: Limits
    media: Media
    cards: Cards

    def fault(self, body: dict[str, Any]) -> int:
        """The error code of what the platform refuses, 0 for none."""
        kind = body.get("msgtype")
        part = body.get(str(kind))
        if kind == "template_card":
            return self.cards.fault(part)
        if kind == "textcard":
            return textcard_fault(part)
        if kind in WRITTEN:
            text = part.get("content") if isinstance(part, dict) else None
            return _text_fault(text)
        if kind in KINDS:
            held = self.media.get(str(part.get("media_id"))) if isinstance(part, dict) else None
            return 0 if held is not None and held.kind == kind else 40007
        return 40008

    def shown(self, body: dict[str, Any]) -> str:
        """What a person sees; a text that is too long is cut without a word."""
        kind = str(body["msgtype"])
        if kind == "template_card":
            return self.cards.send(body[kind])
        if kind == "textcard":
            return textcard_shown(body[kind], self.limits)
        if kind in WRITTEN:
            return cut(body[kind]["content"], self.limits.text_bytes)
        held = self.media.get(body[kind]["media_id"])
        return f"[{kind}] {held.name if held else ''}"


def _text_fault(text: object) -> int:
    """A string that UTF-8 can hold: JSON can write half a surrogate pair."""
    if not isinstance(text, str) or text != text.encode(errors="ignore").decode():
        return 40058
    return 0 if text else 44004
