"""Conversations and messages of the stand-in, in memory; the newest are kept. Used by `runs` and the routes."""

import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from playground.dify.workflow import Turn

MESSAGES = 5000
NAME_LENGTH = 40


@dataclass
class Message:
    """A row of Dify's table: there from the start, its answer only once the stream was read to its end."""

    id: str
    conversation: str
    user: str
    query: str
    inputs: dict[str, Any]
    created_at: int
    answer: str = ""
    status: str = "normal"
    error: str | None = None
    resources: list[dict[str, Any]] = field(default_factory=list)
    feedback: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "conversation_id": self.conversation,
            "parent_message_id": None,
            "inputs": self.inputs,
            "query": self.query,
            "answer": self.answer,
            "status": self.status,
            "error": self.error,
            "message_files": self.files,
            "feedback": self.feedback,
            "retriever_resources": self.resources,
            "agent_thoughts": [],
            "created_at": self.created_at,
        }

    def as_conversation(self) -> dict[str, Any]:
        """As the first message of one."""
        return {
            "id": self.conversation,
            "name": self.query[:NAME_LENGTH],
            "inputs": self.inputs,
            "status": "normal",
            "introduction": "",
            "created_at": self.created_at,
            "updated_at": self.created_at,
        }


class UnknownConversation(Exception):
    """No conversation of this user has this id."""


class Store:
    """All rows; a user sees only their own."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, user: str, query: str, inputs: dict[str, Any], conversation: str) -> Message:
        """A new message; an empty conversation begins one. Raises `UnknownConversation`."""
        if conversation and not self.of_conversation(user, conversation):
            raise UnknownConversation
        message = Message(
            id=str(uuid.uuid4()),
            conversation=conversation or str(uuid.uuid4()),
            user=user,
            query=query,
            inputs=inputs,
            created_at=int(time.time()),
        )
        with self._lock:
            self._messages[message.id] = message
            while len(self._messages) > MESSAGES:
                self._messages.popitem(last=False)
        return message

    def find(self, user: str, message_id: str) -> Message | None:
        message = self._messages.get(message_id)
        return message if message is not None and message.user == user else None

    def of_conversation(self, user: str, conversation: str) -> list[Message]:
        """Oldest first."""
        with self._lock:
            rows = list(self._messages.values())
        return [row for row in rows if row.conversation == conversation and row.user == user]

    def conversations(self, user: str) -> list[Message]:
        """The first message of each conversation of a user, the newest conversation first."""
        with self._lock:
            rows = [row for row in self._messages.values() if row.user == user]
        first: dict[str, Message] = {}
        for row in rows:
            first.setdefault(row.conversation, row)
        newest = dict.fromkeys(row.conversation for row in reversed(rows))
        return [first[name] for name in newest]

    def forget(self, user: str, conversation: str) -> bool:
        """Delete a conversation; False where this user has none of this id."""
        rows = self.of_conversation(user, conversation)
        with self._lock:
            for row in rows:
                self._messages.pop(row.id, None)
        return bool(rows)

    def turns(self, message: Message) -> list[Turn]:
        """What was said in the conversation before this message."""
        rows = self.of_conversation(message.user, message.conversation)
        return [Turn(row.query, row.answer) for row in rows if row.id != message.id and row.answer]
