"""Which bases are closed to a person, as a digest, and whether documents are: the channel then ends a conversation.

What is closed to somebody later must not come back to them by what their conversation remembers.
"""

import hashlib
from collections.abc import Collection

from tool_server.access import Asker
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.rights import rights_of, sees
from tool_server.settings import Settings


class ClosedBases:
    """Asks the catalogue each time: a base's list holds from its next search on."""

    def __init__(self, settings: Settings) -> None:
        self._catalogue = Catalogue.open(settings)

    def __call__(self, asker: Asker) -> str:
        """Another digest where another set of bases is closed; bases that nobody restricted are open."""
        rights = rights_of(asker)
        profiles = self._catalogue.profiles().items()
        closed = sorted(name for name, at in profiles if not sees(rights, at.access))
        return hashlib.sha256("/".join(closed).encode()).hexdigest() if closed else ""

    def withheld(self, asker: Asker, documents: Collection[str]) -> bool:
        """Whether one of these documents has a list of its own that is closed to them; one that is gone has none."""
        if not documents:
            return False
        rights, found = rights_of(asker), self._catalogue.documents(documents)
        return any(not sees(rights, document.access) for document in found.values())

    def close(self) -> None:
        self._catalogue.close()
