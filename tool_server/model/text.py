"""From tokens to text as it may be shown: whole characters, no stop string, reasoning apart; used by `chat`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What a decoder gives for bytes that are not a whole character yet.
UNFINISHED = "\ufffd"
OPEN, CLOSE = "<think>", "</think>"


@dataclass(frozen=True)
class Piece:
    """Text of one kind: reasoning, or the answer itself."""

    text: str
    reasoning: bool


class Detokenizer:
    """Text of a growing list of tokens; holds back what may still become another character.

    Some decoders look at the token before (`looks_back`); for the others each token is decoded once.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], *, looks_back: bool = True) -> None:
        self._decode = decode
        self._looks_back = looks_back
        self._tokens: list[int] = []  # those that were given out last, and those that were not
        self._shown = 0  # how many of them were
        self._before = ""  # their text

    def feed(self, tokens: Sequence[int]) -> str:
        """The new text; empty while a character is not whole."""
        self._tokens.extend(tokens)
        text = self._decode(self._tokens)
        if text.endswith(UNFINISHED) or len(text) <= len(self._before):
            return ""
        new = text[len(self._before) :]
        self._tokens = self._tokens[self._shown :] if self._looks_back else []
        self._shown = len(self._tokens)
        self._before = self._decode(self._tokens) if self._tokens else ""
        return new

    def end(self) -> str:
        """What was held back, as it is."""
        return self._decode(self._tokens)[len(self._before) :]


class StopStrings:
    """Cuts the text before the first stop string; holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """What may be shown; after a hit nothing more."""
        if self.hit:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        keep = max((overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        held, self._held = self._held, ""
        return held


class ReasoningSplitter:
    """Tells reasoning from the answer. `inside` when the prompt has opened the block already, as R1's does."""

    def __init__(self, *, inside: bool) -> None:
        self._inside = inside
        self._started = False
        self._held = ""

    def feed(self, text: str) -> list[Piece]:
        text = self._held + text
        pieces: list[Piece] = []
        while True:
            tag = CLOSE if self._inside else OPEN
            at = text.find(tag)
            if at < 0:
                break
            self._add(pieces, text[:at])
            text = text[at + len(tag) :]
            self._inside, self._started = not self._inside, False
        keep = overlap(text, CLOSE if self._inside else OPEN)
        self._held = text[len(text) - keep :]
        self._add(pieces, text[: len(text) - keep])
        return pieces

    def end(self) -> list[Piece]:
        pieces: list[Piece] = []
        self._add(pieces, self._held)
        self._held = ""
        return pieces

    def _add(self, pieces: list[Piece], text: str) -> None:
        """Line breaks that only set a block apart belong to neither."""
        if not self._started:
            text = text.lstrip("\n")
        if text:
            self._started = True
            pieces.append(Piece(text, self._inside))


def overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` are a beginning of `tag`."""
    if tag[0] not in text:
        return 0
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
