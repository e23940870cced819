"""Cards with buttons (90236, 96458): what one may hold, who pressed it, and the one change of it afterwards."""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playground.wechat.limits import ENTRIES, CardLimits

TASK = re.compile(r"[0-9A-Za-z_\-@]+")


@dataclass
class Pressed:
    """A press, and until when its card may be changed, once."""

    user: str
    until: float


class Cards:
    """The cards of one app. For all threads."""

    def __init__(self, limits: CardLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: OrderedDict[str, dict[str, str]] = OrderedDict()  # button texts by key, by task
        self._pressed: OrderedDict[str, Pressed] = OrderedDict()  # by response code
        self.changed: list[tuple[str, str]] = []  # user and new name of the button

    def fault(self, card: object) -> int:
        """The error code of a card that the platform refuses, 0 for none."""
        if not isinstance(card, dict) or card.get("card_type") != "button_interaction":
            return 40058
        title, buttons, task = card.get("main_title"), card.get("button_list"), card.get("task_id")
        if not isinstance(title, dict) or not title.get("title"):
            return 40058
        if not isinstance(buttons, list) or not 0 < len(buttons) <= self._limits.buttons:
            return 40058
        if not all(self._is_button(button) for button in buttons):
            return 40058
        good = isinstance(task, str) and TASK.fullmatch(task)
        return 0 if good and len(str(task)) <= self._limits.task_bytes else 40058

    def send(self, card: dict[str, Any]) -> str:
        """Keep a card; how it looks on a phone."""
        buttons = {button["key"]: button["text"] for button in card["button_list"]}
        with self._lock:
            _keep(self._sent, card["task_id"], buttons)
        return f"{card['main_title']['title']} [{'] ['.join(buttons.values())}]"

    def press(self, user: str, task: str, key: str) -> tuple[tuple[str, str], ...]:
        """The inner fields of the event of a press. Raises `KeyError` where there is no such card or button."""
        with self._lock:
            self._sent[task][key]
            code = secrets.token_urlsafe(24)
            _keep(self._pressed, code, Pressed(user, self._clock() + self._limits.response_s))
        fields = {"EventKey": key, "TaskId": task, "ResponseCode": code}
        return tuple(fields.items())

    def change(self, body: dict[str, Any]) -> int:
        """update_template_card: the error code, 0 for none. A response code is good once."""
        button = body.get("button")
        if not isinstance(button, dict) or not button.get("replace_name"):
            return 40058
        with self._lock:
            pressed = self._pressed.pop(str(body.get("response_code")), None)
            if pressed is None or self._clock() > pressed.until:
                return 42045
            self.changed.append((pressed.user, str(button["replace_name"])))
            del self.changed[:-ENTRIES]
        return 0

    def _is_button(self, button: object) -> bool:
        if not isinstance(button, dict) or not button.get("text"):
            return False
        key = button.get("key")
        return isinstance(key, str) and 0 < len(key.encode()) <= self._limits.key_bytes


def _keep[T](shelf: OrderedDict[str, T], name: str, value: T) -> None:
    shelf[name] = value
    while len(shelf) > ENTRIES:
        shelf.popitem(last=False)
