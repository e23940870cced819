"""The message type `textcard` (90236): a title and a text that lead to an address; called by `contents`."""

from typing import Any

from playground.wechat.limits import Limits, cut

URL_BYTES = 2048
FIELDS = ("title", "description", "url")


def textcard_fault(part: object) -> int:
    """The error code of a card that the platform refuses, 0 for none; all three fields are needed."""
    if not isinstance(part, dict):
        return 40058
    texts = [part.get(name) for name in FIELDS]
    if not all(isinstance(text, str) and text for text in texts):
        return 40058
    url = str(part["url"])
    return (
        0 if url.startswith(("http://", "https://")) and len(url.encode()) <= URL_BYTES else 40058
    )


def textcard_shown(part: dict[str, Any], limits: Limits) -> str:
    """How it looks on a phone; what is too long is cut without a word."""
    title = cut(part["title"], limits.textcard_title_bytes)
    text = cut(part["description"], limits.textcard_text_bytes)
    return f"{title}\n{text} <{part['url']}>"
