"""Where a question's tokens stand in a text; for `search` (does a passage cover the question?) and `highlight`.

The same tokens as `tokens.tokenize` makes: a Han token stands wherever its characters do, another one is a whole word.
"""

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tool_server.knowledge.tokens import PART, tokenize

type Span = tuple[int, int]


def held(text: str, tokens: Collection[str]) -> set[str]:
    """Which of the tokens the text holds."""
    folded = unicodedata.normalize("NFKC", text).lower()
    found = {token for token in tokens if is_han(token) and token in folded}
    words = {token for token in tokens if not is_han(token)}
    if not words:
        return found
    return found | words.intersection(
        token for match in PART.finditer(folded) if match[2] for token in tokenize(match[2])
    )


def spans(text: str, tokens: Collection[str]) -> list[Span]:
    """Where the tokens stand in the text, in order; those that touch or overlap are one."""
    folded = Folded.of(text)
    found = sorted(folded.places(tokens))
    joined: list[Span] = []
    for start, end in found:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


@lru_cache(50_000)
def is_han(token: str) -> bool:
    match = PART.match(token)
    return match is not None and match[1] is not None


@dataclass(frozen=True)
class Folded:
    """A text as it is searched in, and which character of the text each of its characters comes from."""

    text: str
    origin: tuple[int, ...] | None  # None: one to one

    @classmethod
    def of(cls, text: str) -> "Folded":
        folded = unicodedata.normalize("NFKC", text).lower()
        if len(folded) == len(text):
            return cls(folded, None)
        parts = [unicodedata.normalize("NFKC", character).lower() for character in text]
        origin = tuple(at for at, part in enumerate(parts) for _ in part)
        return cls("".join(parts), origin)

    def places(self, tokens: Collection[str]) -> Iterator[Span]:
        wanted = set(tokens)
        for token in wanted:
            if is_han(token):
                yield from self._all(token)
        if not all(map(is_han, wanted)):
            for match in PART.finditer(self.text):
                if match[2] and not wanted.isdisjoint(tokenize(match[2])):
                    yield self._in_text(match.start(), match.end())

    def _all(self, token: str) -> Iterator[Span]:
        at = self.text.find(token)
        while at >= 0:
            yield self._in_text(at, at + len(token))
            at = self.text.find(token, at + 1)

    def _in_text(self, start: int, end: int) -> Span:
        if self.origin is None:
            return start, end
        return self.origin[start], self.origin[end - 1] + 1
