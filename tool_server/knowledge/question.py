"""What is asked of a search and what it answers: `Question`, `Passage`, `Result`; for `search` and every door."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tool_server.knowledge.document import Value
from tool_server.knowledge.filters import Filter
from tool_server.knowledge.rights import PUBLIC
from tool_server.knowledge.values import shown

type Mode = Literal["auto", "lexical", "hybrid"]
type Used = Literal["lexical", "hybrid"]


@dataclass(frozen=True)
class Question:
    """What is looked for, where, and by whom: `rights` come from the ticket or the key, never from a request's body."""

    query: str
    bases: tuple[str, ...] = ()  # none: all that may be seen
    top_k: int = 5
    threshold: float = 0.0
    mode: Mode = "auto"
    filter: Filter | None = None
    language: str = ""  # "zh" or "en"; none: both
    rights: frozenset[str] = frozenset({PUBLIC})


@dataclass(frozen=True)
class Fragment:
    """A part of a passage that holds what was asked for; `marks` are places in `text`, [start, end)."""

    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Copy:
    """Another document that holds nearly the same passage under nearly the same title."""

    document_id: str
    source_id: str
    base: str
    title: str
    url: str


@dataclass(frozen=True)
class Passage:
    """A passage that was found, with where it stands and how well it fits (0..1, comparable within one question).

    `content` may go beyond the passage: to its whole section, or to what is around it. A pinned answer has `pinned`,
    and its question as the title.
    """

    content: str
    title: str
    score: float
    document_id: str
    source_id: str
    segment_id: str
    url: str
    base: str
    document_title: str = ""
    heading: str = ""
    page: int | None = None
    ordinal: int = 0
    language: str = ""
    metadata: Mapping[str, Value] = field(default_factory=dict)
    highlight: tuple[Fragment, ...] = ()
    copies: tuple[Copy, ...] = ()
    pinned: bool = False

    def as_json(self) -> dict[str, Any]:
        """`asdict` copies deeply, which takes longer than the rest of a search."""
        return {
            **vars(self),
            "metadata": shown(self.metadata),
            "highlight": [asdict(fragment) for fragment in self.highlight],
            "copies": [asdict(copy) for copy in self.copies],
        }


@dataclass(frozen=True)
class Result:
    """`found`: the best passages cover the question. Weaker ones come all the same, for who wants to see them."""

    found: bool
    passages: tuple[Passage, ...]
    mode: Used = "lexical"
    reason: str = ""  # why the vectors had no part in it, where they were asked for

    def as_json(self) -> dict[str, Any]:
        passages = [passage.as_json() for passage in self.passages]
        reason = {"reason": self.reason} if self.reason else {}
        return {"found": self.found, "mode": self.mode, **reason, "passages": passages}
