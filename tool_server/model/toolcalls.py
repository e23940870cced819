"""Tool calls in a model's text, taken out as they come: the tags of Qwen and Hermes, and DeepSeek's; used by `chat`.

<tool_call>{"name": "weather", "arguments": {"city": "上海"}}</tool_call>
<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather⏎```json⏎{"city": "上海"}⏎```<｜tool▁call▁end｜>
"""

import json
import re
import secrets
from collections.abc import Iterator

from tool_server.model.backend import Part, ToolDelta
from tool_server.model.text import Piece, overlap

OPEN, CLOSE = "<tool_call>", "</tool_call>"
BEGIN, SEPARATOR, END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
FRAMES = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")  # around all of DeepSeek's calls
OPENINGS = {OPEN: CLOSE, BEGIN: END}
MARKS = (OPEN, CLOSE, BEGIN, SEPARATOR, END, *FRAMES)
NAME = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')
# A body that goes on for ever is not a call.
BODY_LIMIT = 256 * 1024


class ToolCalls:
    """Splits an answer's text into what is to be read and what is to be called."""

    def __init__(self) -> None:
        self._held = ""
        self._call: _Call | None = None
        self._after_call = False
        self.count = 0

    def feed(self, text: str) -> Iterator[Part]:
        """The parts that are certain by now."""
        self._held += text
        while True:
            if self._call is None:
                at, tag = _first(self._held, (*OPENINGS, *FRAMES))
                if at < 0:
                    keep = max(overlap(self._held, tag) for tag in (*OPENINGS, *FRAMES))
                    yield from self._show(len(self._held) - keep)
                    return
                yield from self._show(at)
                self._held = self._held[len(tag) :]
                if tag in OPENINGS:
                    self._call = _Call(tag, self.count)
            else:
                close = OPENINGS[self._call.tag]
                at = self._held.find(close)
                if at < 0:
                    keep = overlap(self._held, close)
                    body, self._held = _cut(self._held, len(self._held) - keep)
                    yield from self._call.feed(body)
                    if len(self._call.body) > BODY_LIMIT:
                        yield from self._finish("")
                    return
                body, self._held = _cut(self._held, at)
                self._held = self._held[len(close) :]
                yield from self._finish(body)

    def end(self) -> Iterator[Part]:
        """What is left once the model has ended; a call whose end is missing counts if it is whole."""
        if self._call is not None:
            rest, self._held = self._held, ""
            yield from self._finish(rest)
        yield from self._show(len(self._held))

    def _finish(self, body: str) -> Iterator[Part]:
        call, self._call = self._call, None
        assert call is not None
        yield from call.feed(body)
        yield from call.end()
        self.count += call.named
        self._after_call = call.named

    def _show(self, length: int) -> Iterator[Piece]:
        text, self._held = _cut(self._held, length)
        if self._after_call:  # white space that only sets calls apart
            text = text.lstrip()
        if text:
            self._after_call = False
            yield Piece(text, reasoning=False)


class _Call:
    """One call: its name first, then its arguments as they come."""

    def __init__(self, tag: str, index: int) -> None:
        self.tag = tag
        self.body = ""
        self.named = False
        self._index = index
        self._sent = 0  # where in the body the arguments go on
        self._value = _Value()

    def feed(self, text: str) -> Iterator[ToolDelta]:
        self.body += text
        if not self.named:
            found = _name(self.tag, self.body)
            if found is None:
                return
            name, self._sent = found
            yield self._head(name)
        fragment = self._value.take(self.body[self._sent :])
        self._sent = len(self.body)
        if fragment:
            yield ToolDelta(self._index, arguments=fragment)

    def end(self) -> Iterator[Part]:
        """A body in another order of keys is read as a whole; what is no call at all is shown as it came."""
        if self.named:
            return
        try:
            call = json.loads(self.body)
            name, arguments = str(call["name"]), call.get("arguments", {})
        except (ValueError, TypeError, KeyError, AttributeError):
            yield Piece(self.tag + self.body + OPENINGS[self.tag], reasoning=False)
            return
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        yield self._head(name)
        yield ToolDelta(self._index, arguments=arguments)

    def _head(self, name: str) -> ToolDelta:
        self.named = True
        return ToolDelta(self._index, id=f"call_{secrets.token_hex(12)}", name=name)


class _Value:
    """Follows one JSON object to its closing brace."""

    def __init__(self) -> None:
        self._depth = 0
        self._string = self._escaped = self._done = False

    def take(self, text: str) -> str:
        """What of `text` belongs to the object."""
        if self._done:
            return ""
        for at, character in enumerate(text):
            if self._step(character):
                self._done = True
                return text[: at + 1]
        return text

    def _step(self, character: str) -> bool:
        if self._escaped:
            self._escaped = False
        elif self._string:
            self._escaped = character == "\\"
            self._string = character != '"'
        elif character == '"':
            self._string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth == 0
        return False


def _name(tag: str, body: str) -> tuple[str, int] | None:
    """The name, and where its arguments begin; None while they are not both there."""
    if tag == OPEN:
        found = NAME.match(body)
        return None if found is None else (json.loads(found[1]), found.end())
    before, separator, after = body.partition(SEPARATOR)
    start = body.find("{", len(before) + len(separator))
    if not separator or start < 0:
        return None
    name = before.strip()
    if name in ("", "function"):  # the older form has the name on the other side
        name = after.split("\n", 1)[0].split("{", 1)[0].strip()
    return name, start


def _first(text: str, tags: tuple[str, ...]) -> tuple[int, str]:
    """The first of these tags in the text, and where; -1 where there is none."""
    found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
    return min(found, default=(-1, ""))


def _cut(text: str, at: int) -> tuple[str, str]:
    return text[:at], text[at:]
