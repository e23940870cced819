"""Cards with buttons, and what becomes of them once one is pressed: thumbs below an answer (96458), starter questions.

The surface sends it; who meets the press keeps the thumb and calls `taken`, or shows what was `chosen`.
"""

import json
from collections.abc import Mapping
from typing import Any

from tool_server.channel.account import WeComApp
from tool_server.channel.reply_card import ASKS_KEY
from tool_server.channel.surface import Api, Choices
from tool_server.words import Language, say

UPDATE_PATH = "/cgi-bin/message/update_template_card"


def thumbs(task: str, language: Language) -> Mapping[str, object]:
    """The `template_card`: two buttons, whose keys say the rating; `task` is unique and has at most 128 bytes."""
    return {
        "card_type": "button_interaction",
        "main_title": {"title": say("was_it_good", language)},
        "task_id": task,
        "button_list": [
            {"text": say("thumb_up", language), "style": 1, "key": "like"},
            {"text": say("thumb_down", language), "style": 2, "key": "dislike"},
        ],
    }


def choices(task: str, said: Choices) -> Mapping[str, object]:
    """A text with its questions as buttons (keys have at most 1024 bytes); who presses one asks it."""
    return {
        "card_type": "button_interaction",
        "main_title": {"title": said.heading},
        "sub_title_text": said.text,
        "task_id": task,
        "button_list": [
            {"text": question, "style": 1, "key": f"{ASKS_KEY}{question}"}
            for question in said.questions
        ],
    }


def chosen(card: Mapping[str, Any], question: str) -> Mapping[str, object]:
    """The same card once a question was pressed: its button shows so."""
    key = f"{ASKS_KEY}{question}"
    buttons = [
        {**button, "text": f"✓ {question}"} if button["key"] == key else button
        for button in card["button_list"]
    ]
    return {**card, "button_list": buttons}


def taken(api: Api, app: WeComApp, user: str, response_code: str, language: Language) -> None:
    """Say on the card that the press has arrived; possible once, within 72 hours. Raises `SendError`."""
    body = {
        "userids": [user],
        "agentid": app.agent_id,
        "response_code": response_code,
        "button": {"replace_name": say("thumb_taken", language)},
    }
    api.call(app, UPDATE_PATH, json.dumps(body, ensure_ascii=False))
