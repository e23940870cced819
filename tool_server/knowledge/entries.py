"""From passages in their order to the entries of a result: near-duplicates go, a passage grows into its section.

Called by `search`. Whatever is dropped, what is left stays in the order of the ranking.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.index import Hit

ALIKE = 0.9  # share of common shingles from which two texts are the same
SHINGLE = 5  # characters


@dataclass(frozen=True)
class Entry:
    """One place of the result: the passage that was found, the text around it that is given with it, and passages
    further down that say the same."""

    hit: Hit
    passage: StoredPassage
    content: str
    copies: Sequence[StoredPassage] = ()


def entries(
    hits: Sequence[Hit], stored: Mapping[str, StoredPassage], *, budget: int, limit: int
) -> list[Entry]:
    """The first `limit` entries; `budget`: characters to which a passage may grow, 0 leaves it as it is.

    A copy has nearly the same title and text. The same words under another title are another source: two laws share
    an article.
    """
    sections = _Sections(stored)
    kept: list[Entry] = []
    before: list[tuple[_Shingles, list[StoredPassage]]] = []
    for hit in hits:
        passage = stored.get(hit.passage_id)
        if passage is None:
            continue
        text = _Shingles(f"{passage.title}\n{passage.text}")
        copies = next((copies for other, copies in before if text.like(other)), None)
        if copies is not None:
            copies.append(passage)
        elif passage.id not in sections.shown:
            if len(kept) == limit:
                break
            copies = []
            before.append((text, copies))
            kept.append(Entry(hit, passage, sections.grow(passage, budget), copies))
    return kept


class _Shingles:
    """A text as the set of its shingles, made when it is compared; blanks and case do not count."""

    def __init__(self, text: str) -> None:
        self._text = "".join(unicodedata.normalize("NFKC", text).lower().split())
        self._made: frozenset[str] | None = None

    def like(self, other: "_Shingles") -> bool:
        """Whether they share nine of ten shingles; texts of quite different lengths cannot."""
        shorter, longer = sorted((len(self._text), len(other._text)))
        if shorter < ALIKE * longer - SHINGLE:
            return False
        if self._text == other._text:
            return True
        mine, theirs = self._set(), other._set()
        return len(mine & theirs) >= ALIKE * len(mine | theirs) > 0

    def _set(self) -> frozenset[str]:
        if self._made is None:
            ends = range(len(self._text) - SHINGLE + 1)
            self._made = frozenset(self._text[at : at + SHINGLE] for at in ends)
        return self._made


class _Sections:
    """The sections of the stored passages, and which of their passages have been shown."""

    def __init__(self, stored: Mapping[str, StoredPassage]) -> None:
        self._at = {(p.document_id, p.section, p.ordinal): p for p in stored.values()}
        self.shown: set[str] = set()

    def grow(self, passage: StoredPassage, budget: int) -> str:
        """The passage with those after and before it in its section, as far as they fit and are not shown yet."""
        part = [passage]
        size = len(passage.text)
        open_ends = [1, -1]
        while open_ends:
            for step in tuple(open_ends):
                last = part[-1] if step > 0 else part[0]
                near = self._at.get((last.document_id, last.section, last.ordinal + step))
                if near is None or near.id in self.shown or size + len(near.text) + 1 > budget:
                    open_ends.remove(step)
                    continue
                part.insert(len(part) if step > 0 else 0, near)
                size += len(near.text) + 1
        self.shown.update(one.id for one in part)
        return "\n".join(one.text for one in part)
