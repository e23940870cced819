"""Whether everybody may see what was found; if not, the channel keeps the answer from others. For the routes."""

from collections.abc import Collection, Sequence
from typing import Protocol

from tool_server.knowledge.question import Passage
from tool_server.knowledge.rights import PUBLIC, sees
from tool_server.knowledge.search import Knowledge


class NoteGiven(Protocol):
    """Told under which ticket passages of which documents are given out, and whether not everybody may see them."""

    def __call__(self, ticket: str, documents: Collection[str], *, closed: bool) -> None: ...


def to_nobody(ticket: str, documents: Collection[str], *, closed: bool) -> None:
    """For knowledge without a channel."""


EVERYBODY = frozenset({PUBLIC})


def open_to_all(knowledge: Knowledge, passages: Sequence[Passage]) -> bool:
    """Whether everybody may see each of them; what is not known any more counts as closed."""
    if not passages:
        return True
    catalogue = knowledge.catalogue
    bases = catalogue.known()
    documents = catalogue.documents({passage.document_id for passage in passages})
    wanted = {passage.base for passage in passages if passage.pinned}
    pins = catalogue.pins.of({name: at.pins for name, at in bases.items() if name in wanted})
    lists = {pin.id: pin.access for pin in pins}
    lists |= {key: document.access for key, document in documents.items()}

    def is_open(passage: Passage) -> bool:
        base = bases.get(passage.base)
        if base is None or not sees(EVERYBODY, base.profile.access):
            return False
        if base.profile.foreign:
            return True
        return passage.document_id in lists and sees(EVERYBODY, lists[passage.document_id])

    return all(map(is_open, passages))
