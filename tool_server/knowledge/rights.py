"""Who may see a passage: a list of rights on bases and documents, and the rights of who asks.

A right is a word: `public`, `user:<account>/<user>`, `department:<account>/<number>`, `group:<account>/<chat>`. A base
has a list, a document may have one of its own; a passage is seen by who holds one right of the base's list and, where
the document has a list, one of that as well: a document can only narrow. A key's rights come from the key file.
"""

import json
from collections.abc import Callable, Iterable

from tool_server.access import EVERYTHING, PUBLIC, RIGHT, Asker

__all__ = ["EVERYTHING", "INHERITED", "PUBLIC", "RIGHT", "read_access", "rights_of", "sees"]

type ResolveTicket = Callable[[str, str, str], Asker | None]

# Stands in a document's list where it has none of its own: who may see the base may see the document.
INHERITED = "inherited"


def rights_of(asker: Asker | None, own: Iterable[str] = ()) -> frozenset[str]:
    """What a search may see: the person's rights where a ticket names one, else the key's own; public passages always.

    In a group chat all members read the answer, so only what is public or bound to that group counts.
    """
    if asker is None:
        return frozenset({PUBLIC, *own})
    account = asker.account
    if asker.chat_type == "group":
        return frozenset({PUBLIC, f"group:{account}/{asker.chat}"})
    departments = (f"department:{account}/{number}" for number in asker.departments)
    return frozenset({PUBLIC, f"user:{account}/{asker.user}", *departments})


def sees(rights: frozenset[str], *lists: Iterable[str]) -> bool:
    """Whether these rights open every one of the lists; a list that is inherited is open, an empty one is not."""
    if EVERYTHING in rights:
        return True
    return all(not (rights | {INHERITED}).isdisjoint(access) for access in lists)


def read_access(text: str) -> tuple[str, ...]:
    """A stored list; what cannot be read is an empty one, which opens to nobody."""
    try:
        read = json.loads(text)
    except ValueError:
        return ()
    return tuple(map(str, read)) if isinstance(read, list) else ()
