"""Reasoning in an upstream's text: its parser's own field, `<think>` blocks, or a lone `</think>`; for `upstream`."""

import re
from collections.abc import Iterator
from typing import Literal

from tool_server.model.text import CLOSE, OPEN, Piece, ReasoningSplitter

# Models whose chat template has opened the thought already, by their names.
OPENS = re.compile(r"deepseek.?r1|r1.?distill|qwq|thinking", re.I)


def begins_inside(setting: Literal["auto", "opened", "tagged"], model: str) -> bool:
    """Whether a text without a parser begins inside a thought."""
    return setting == "opened" or (setting == "auto" and OPENS.search(model) is not None)


class UpstreamText:
    """Content and reasoning of one answer, piece by piece.

    `inside`: what comes first is a thought, unless a parser upstream turns out to have taken that away already.
    """

    def __init__(self, *, inside: bool) -> None:
        self._inside = inside
        self._splitter: ReasoningSplitter | None = None
        self._head = ""  # the beginning, as long as it may be a tag
        self._parsed = False
        self._thought: list[str] = []  # shown as reasoning, but perhaps the whole answer
        self._answered = False
        self._lone = LoneClose()

    @property
    def lone(self) -> bool:
        """A `</think>` came that nothing had opened: this model's template opens the thought."""
        return self._lone.found

    def reason(self, text: str) -> Iterator[Piece]:
        """A delta of the upstream's own reasoning field."""
        self._parsed = True
        yield Piece(text, reasoning=True)

    def content(self, text: str) -> Iterator[Piece]:
        if self._splitter is None:
            text = self._head = self._head + text
            if not text.strip() or (OPEN.startswith(text.strip()) and text.strip() != OPEN):
                return  # it may become a tag
            tagged = text.lstrip().startswith(OPEN)
            inside = self._inside and not self._parsed and not tagged
            self._splitter, self._head = ReasoningSplitter(inside=inside), ""
        for piece in self._splitter.feed(text):
            yield from self._show(piece)

    def whole(self, text: str, *, stopped: bool) -> Iterator[Piece]:
        """Content that came as a whole: a lone `</think>` tells by itself where the thought ends."""
        before, close, _ = text.partition(CLOSE)
        opened = close or (self._inside and not self._parsed and not stopped)
        self._splitter = ReasoningSplitter(inside=bool(opened) and OPEN not in before)
        for piece in self._splitter.feed(text):
            yield from self._show(piece)

    def end(self, *, stopped: bool) -> Iterator[Piece]:
        """What was held back. A thought that never closed before the model stopped was the answer after all."""
        for piece in self._splitter.end() if self._splitter else ():
            yield from self._show(piece)
        if self._head:
            yield Piece(self._head, reasoning=False)
        if rest := self._lone.end():
            self._answered = True
            yield Piece(rest, reasoning=False)
        if stopped and self._thought and not self._answered and not self._parsed:
            yield Piece("".join(self._thought), reasoning=False)

    def _show(self, piece: Piece) -> Iterator[Piece]:
        if piece.reasoning:
            self._thought.append(piece.text)
            yield piece
        elif text := self._lone.feed(piece.text):
            self._answered = True
            yield Piece(text, reasoning=False)


class LoneClose:
    """Takes a `</think>` that nothing had opened out of the answer; holds back what may become one."""

    def __init__(self) -> None:
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        text = self._held + text
        if CLOSE in text:
            self.found = True
            text = text.replace(CLOSE, "")
        keep = next(
            (size for size in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:size])), 0
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        held, self._held = self._held, ""
        return held
