"""A document's passages read as one text, a window at a time; used by `documents` for the tool and for the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.document import StoredPassage
from tool_server.knowledge.present import clean, clean_line

# However short they are: a window is one query and one answer.
WINDOW_PASSAGES = 500


@dataclass(frozen=True)
class Part:
    """Passages in a row under one path of headings, on one page."""

    heading: str
    page: int | None
    text: str


@dataclass(frozen=True)
class Window:
    """Passages of a document in their order, cleaned; `next_offset` is the ordinal of the first that is not in it."""

    passages: Sequence[StoredPassage]
    next_offset: int | None

    def parts(self) -> Iterator[Part]:
        for (heading, page), run in groupby(self.passages, lambda one: (one.heading, one.page)):
            yield Part(heading, page, "\n".join(passage.text for passage in run))

    def text(self) -> str:
        """The parts with their headings; a heading that goes on over a page is said once."""
        written: list[str] = []
        said = ""
        for part in self.parts():
            repeated = part.heading == said
            written.append(part.text if repeated else f"{part.heading}\n{part.text}".strip())
            said = part.heading
        return "\n\n".join(written)


def window_of(catalogue: Catalogue, document_id: str, offset: int, limit: int) -> Window:
    """The passages from ordinal `offset` on: as many as fit into `limit` characters, but at least one."""
    found = catalogue.passages_from(document_id, offset, WINDOW_PASSAGES + 1)
    taken: list[StoredPassage] = []
    size = 0
    for passage in found[:WINDOW_PASSAGES]:
        size += len(passage.text)
        if taken and size > limit:
            break
        heading, text = clean_line(passage.heading), clean(passage.text)
        taken.append(replace(passage, heading=heading, text=text))
    more = found[len(taken)].ordinal if len(taken) < len(found) else None
    return Window(taken, more)
