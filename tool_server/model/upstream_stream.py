"""Reading an upstream's stream: bytes → events → deltas, whatever line ends, comments or rubbish it sends.

Used by `upstream_call`. What is no OpenAI stream raises `BadStream`; an error object raises `UpstreamError`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tool_server.model.backend import ToolDelta

# The longest line, and the longest event, that is read.
LINE_LIMIT = 1024 * 1024
DONE = "[DONE]"


class BadStream(Exception):
    """Not an OpenAI stream; the text says why and holds nothing of what was sent."""


class UpstreamError(Exception):
    """An error object of the upstream; `status` and `code` as far as it says them."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Delta:
    """What one event adds to the answer."""

    content: str = ""
    reasoning: str = ""
    tools: tuple[ToolDelta, ...] = ()
    finish: str | None = None
    usage: Usage | None = None
    done: bool = False

    @property
    def tells(self) -> bool:
        """Whether a client sees something of it: from here on nothing can be asked again elsewhere."""
        return bool(self.content or self.reasoning or self.tools)


class EventReader:
    """Takes a body apart into the data of its events; other fields and comments are passed over."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that are whole now. Raises `BadStream`."""
        self._rest += chunk
        if len(self._rest) - len(chunk) > LINE_LIMIT:
            raise BadStream("a line is too long")
        if b"\n" not in chunk:
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [event for line in lines if (event := self._take(line)) is not None]

    def end(self) -> list[str]:
        """What a body held that ended without its last empty line."""
        last = [self._take(bytes(self._rest)), self._take(b"")]
        self._rest.clear()
        return [event for event in last if event is not None]

    def _take(self, line: bytes) -> str | None:
        line = line.removesuffix(b"\r")
        if not line:
            data, self._data, self._size = "\n".join(self._data), [], 0
            return data or None
        if line.startswith(b"data:"):
            self._size += len(line)
            if self._size > LINE_LIMIT:
                raise BadStream("an event is too long")
            self._data.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
        elif line.lstrip()[:1] == b"<":
            raise BadStream("this is HTML")
        return None


def read_event(data: str) -> list[Delta]:
    """The deltas of one event's data. Raises `BadStream`, `UpstreamError`."""
    try:
        return [read_delta(data)]
    except json.JSONDecodeError:
        lines = data.split("\n")
    try:  # some servers forget the empty line between two events
        return [read_delta(line) for line in lines if line]
    except json.JSONDecodeError:
        raise BadStream("an event is not JSON") from None


def read_delta(data: str) -> Delta:
    """One JSON object. A whole `chat.completion` counts as one delta."""
    if data.strip() == DONE:
        return Delta(done=True)
    body = json.loads(data)
    if not isinstance(body, dict):
        raise BadStream("an event is not an object")
    if (error := body.get("error")) or body.get("object") == "error":
        raise read_error(error or body)
    choices = body.get("choices") or [{}]
    choice = choices[0] if isinstance(choices, list) else None
    if not isinstance(choice, dict) or choice.get("index", 0) != 0:
        raise BadStream("an event has no choice")
    delta = choice.get("delta") or choice.get("message") or {}
    if not isinstance(delta, dict):
        raise BadStream("a choice has no delta")
    return Delta(
        content=_text(delta, "content"),
        reasoning=_text(delta, "reasoning_content") or _text(delta, "reasoning"),
        tools=_tools(delta.get("tool_calls") or []),
        finish=_text(choice, "finish_reason") or None,
        usage=_usage(body.get("usage")),
    )


def read_error(error: Any, status: int = 0) -> UpstreamError:
    """An error in any of the shapes that engines use; `status` where HTTP gave one already."""
    if not isinstance(error, dict):
        return UpstreamError(status, str(error))
    code = error.get("code")
    if not status and isinstance(code, int | str) and str(code).isdecimal():
        status = int(code)
    message = str(error.get("message") or error.get("detail") or "")
    return UpstreamError(status, message, code if isinstance(code, str) else "")


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadStream(f"{name} is not text")
    return value or ""


def _tools(calls: Any) -> tuple[ToolDelta, ...]:
    if not isinstance(calls, list):
        raise BadStream("tool_calls is not a list")
    return tuple(_tool(number, call) for number, call in enumerate(calls))


def _tool(number: int, call: Any) -> ToolDelta:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise BadStream("a tool call has no function")
    index = call.get("index")
    return ToolDelta(
        index=index if isinstance(index, int) else number,
        id=_text(call, "id"),
        name=_text(function, "name"),
        arguments=_text(function, "arguments"),
    )


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens") or 0)
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return Usage(int(counts[0] or 0), int(counts[1]))
