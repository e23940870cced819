"""The card below an answer that asks whether it helped, and what becomes of it once a button is pressed (96458).

The surface sends it; who meets the press keeps the thumb and calls `taken`.
"""

import json
from collections.abc import Mapping

from tool_server.channel.account import WeComApp
from tool_server.channel.surface import Api
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


def taken(api: Api, app: WeComApp, user: str, response_code: str, language: Language) -> None:
    """Say on the card that the press has arrived; possible once, within 72 hours. Raises `SendError`."""
    body = {
        "userids": [user],
        "agentid": app.agent_id,
        "response_code": response_code,
        "button": {"replace_name": say("thumb_taken", language)},
    }
    api.call(app, UPDATE_PATH, json.dumps(body, ensure_ascii=False))
