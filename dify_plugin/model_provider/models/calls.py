"""Tool calls as they come in pieces; whole ones for Dify, which reads the arguments of each as JSON at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from dify_plugin.entities.model.message import AssistantPromptMessage
from dify_plugin.errors.model import InvokeBadRequestError, InvokeServerUnavailableError
from models.shapes import CallPart

type ToolCall = AssistantPromptMessage.ToolCall


@dataclass
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Calls:
    """The calls of one answer, parallel ones side by side."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def feed(self, parts: Iterable[CallPart]) -> None:
        """Pieces belong to the call of their index; without one, a new id begins a call."""
        for part in parts:
            call = self._calls.setdefault(self._index(part), _Call())
            call.id = part.id or call.id
            if part.function is not None:
                call.name = part.function.name or call.name
                call.arguments.append(part.function.arguments or "")

    def text(self) -> str:
        """What the model wrote for them, for an estimate of its tokens."""
        return "".join(call.name + "".join(call.arguments) for call in self._calls.values())

    def whole(self, reason: str) -> list[ToolCall]:
        """In the order of their indices. Raises an `InvokeError` for a call that nobody could follow."""
        return [_whole(call, reason) for _, call in sorted(self._calls.items())]

    def _index(self, part: CallPart) -> int:
        if part.index is not None:
            return part.index
        last = max(self._calls, default=-1)
        known = last >= 0 and part.id in (None, "", self._calls[last].id)
        return last if known else last + 1


def _whole(call: _Call, reason: str) -> ToolCall:
    arguments = "".join(call.arguments).strip() or "{}"
    if not call.name or not _is_object(arguments):
        if reason == "length":
            raise InvokeBadRequestError(
                "max_tokens: the answer ended inside a tool call; allow a longer one."
            )
        raise InvokeServerUnavailableError("The model called a tool in a way that is none.")
    kind = AssistantPromptMessage.ToolCall
    function = kind.ToolCallFunction(name=call.name, arguments=arguments)
    return kind(id=call.id or f"call_{uuid.uuid4().hex}", type="function", function=function)


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False
