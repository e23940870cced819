"""Callbacks by their req_id, and who has written to the bot; used by `bot` and `commands`."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from playground.wechat.bot.message import BotMessage
from playground.wechat.limits import MESSAGES

MESSAGE = "aibot_msg_callback"
EVENT = "aibot_event_callback"


@dataclass
class Callback:
    """One message on its way, and what became of it."""

    req_id: str
    message: BotMessage
    cmd: str
    at: float = field(default_factory=time.monotonic)
    delivered: int = 0
    answered: bool = False
    streams: dict[str, float] = field(default_factory=dict)  # by id: when their first frame came

    @property
    def conversation(self) -> str:
        """Whom its answers count for."""
        return self.message.chat or self.message.user

    def age_s(self) -> float:
        return time.monotonic() - self.at

    def frame(self) -> dict[str, Any]:
        return {"cmd": self.cmd, "headers": {"req_id": self.req_id}, "body": self.message.body}


class Callbacks:
    """All callbacks of the bot, oldest first. For all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_req_id: dict[str, Callback] = {}
        self._open: dict[str, Callback] = {}  # by msgid
        self._known: set[str] = set()

    def add(self, callback: Callback) -> None:
        message = callback.message
        with self._lock:
            self._by_req_id[callback.req_id] = callback
            self._open[message.id] = callback
            if message.kind != "enter_chat":
                self._known |= {message.user, message.chat} - {""}
            if len(self._by_req_id) > MESSAGES:
                gone = self._by_req_id.pop(next(iter(self._by_req_id)))
                self._open.pop(gone.message.id, None)

    def get(self, req_id: str) -> Callback | None:
        with self._lock:
            return self._by_req_id.get(req_id)

    def knows(self, chat: str) -> bool:
        """Whether this person, or somebody in this group, has written before."""
        with self._lock:
            return chat in self._known

    def answered(self, callback: Callback) -> None:
        with self._lock:
            callback.answered = True
            self._open.pop(callback.message.id, None)

    def drop(self, callback: Callback) -> None:
        """It is never delivered."""
        with self._lock:
            self._open.pop(callback.message.id, None)

    def unanswered(self) -> list[Callback]:
        """Callbacks without an answer, in the order in which they were written."""
        with self._lock:
            return list(self._open.values())
