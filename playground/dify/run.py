"""One run of an app, as `runs` keeps it and the playground shows it."""

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from playground.dify.store import Message
from playground.dify.uploads import Upload


@dataclass
class Run:
    """Seconds inside the packages' calls are counted apart. A workflow app's run has no message."""

    workflow_id: str
    user: str
    inputs: dict[str, Any]
    query: str = ""
    files: Sequence[Upload] = ()
    message: Message | None = None
    task: str = field(default_factory=lambda: str(uuid.uuid4()))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started_at: float = field(default_factory=time.time)
    cancelled: threading.Event = field(default_factory=threading.Event)
    finished_at: float | None = None
    status: str = "running"
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    tokens: int = 0
    steps: int = 0
    tool_s: float = 0.0
    model_s: float = 0.0
    total_s: float = 0.0
    model_requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def conversation(self) -> str:
        return self.message.conversation if self.message else ""

    def end(self, told: Mapping[str, Any]) -> None:
        """What its last event tells."""
        self.status, self.error = str(told["status"]), told["error"]
        self.outputs = dict(told["outputs"])
        self.tokens, self.steps = told["total_tokens"], told["total_steps"]

    def as_json(self) -> dict[str, Any]:
        return {
            "task_id": self.task,
            "message_id": self.message.id if self.message else "",
            "conversation_id": self.conversation,
            "user": self.user,
            "query": self.query,
            "inputs": self.inputs,
            "status": self.status,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "total_s": self.total_s,
            "tool_s": self.tool_s,
            "model_s": self.model_s,
            "overhead_s": self.total_s - self.tool_s - self.model_s,
            "model_requests": self.model_requests,
        }
