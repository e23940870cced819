"""How a card that a tool sends looks on each surface, and its bounds; called by `replies` and the surfaces.

A button asks a question: its key (WeCom app, bots) or its text (customer service) comes back as the person's own.
"""

from tool_server.channel.surface import Card

# 90236: a textcard's title and description are cut beyond these many bytes.
TITLE_BYTES = 128
TEXT_BYTES = 512
# A button's text: no more is seen on a phone. Six buttons to a card.
ASKS = 6
ASK_BYTES = 60
# How the key of such a button begins; behind it stands the question.
ASKS_KEY = "ask:"
# In a WeCom app's text `<` begins a link, in a textcard a colour.
LOOK_ALIKE = str.maketrans("<>", "＜＞")
OPENS = {"zh": "查看", "en": "Open"}


def asked_by(key: str) -> str:
    """The question that a pressed button asks; empty for any other button."""
    return key.removeprefix(ASKS_KEY).strip() if key.startswith(ASKS_KEY) else ""


def of_app(card: Card) -> dict[str, object]:
    """WeCom app: a textcard, which WeChat shows too; with buttons a template card; else a text."""
    if card.asks:
        return {"msgtype": "template_card", "template_card": _template(card)}
    title, text = card.title.translate(LOOK_ALIKE), card.text.translate(LOOK_ALIKE)
    if not card.link:
        return {"msgtype": "text", "text": {"content": _joined(title, text)}}
    shown = {"title": title, "description": text or title, "url": card.link}
    return {"msgtype": "textcard", "textcard": {**shown, "btntxt": OPENS[card.language]}}


def of_kf(card: Card) -> dict[str, object]:
    """Customer service: a menu, whose entries open the link and ask; a text where there are none."""
    words = _joined(card.title, card.text)
    entries: list[dict[str, object]] = [
        {"type": "click", "click": {"id": f"{ASKS_KEY}{at}", "content": ask}}
        for at, ask in enumerate(card.asks, start=1)
    ]
    if card.link:
        view = {"url": card.link, "content": OPENS[card.language]}
        entries.insert(0, {"type": "view", "view": view})
    if not entries:
        return {"msgtype": "text", "text": {"content": words}}
    return {"msgtype": "msgmenu", "msgmenu": {"head_content": words, "list": entries}}


def of_bot(card: Card) -> dict[str, object]:
    """AI bots: a template card; markdown where nothing can be pressed."""
    if card.asks or card.link:
        return {"msgtype": "template_card", "template_card": _template(card)}
    return {
        "msgtype": "markdown",
        "markdown": {"content": _joined(f"**{card.title}**", card.text)},
    }


def _template(card: Card) -> dict[str, object]:
    """With buttons `button_interaction`, else `text_notice`, which must lead somewhere."""
    shown: dict[str, object] = {
        "card_type": "button_interaction" if card.asks else "text_notice",
        "main_title": {"title": card.title},
        "task_id": card.task,
    }
    if card.text:
        shown["sub_title_text"] = card.text
    if card.link:
        shown["card_action"] = {"type": 1, "url": card.link}
    if card.asks:
        buttons = [{"text": ask, "style": 1, "key": f"{ASKS_KEY}{ask}"} for ask in card.asks]
        shown["button_list"] = buttons
    return shown


def _joined(title: str, text: str) -> str:
    return f"{title}\n\n{text}" if text else title
