"""Whether an address is that of a document which somebody may see; the channel asks before it sends a link there."""

from tool_server.access import Asker
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.rights import rights_of, sees

# Documents of one address that are looked at; parts of one page are more seldom.
LOOKED_AT = 100


def is_source(catalogue: Catalogue, asker: Asker, url: str) -> bool:
    """Whether the asker may see a document with this very address."""
    rights, bases = rights_of(asker), catalogue.profiles()
    return any(
        document.base in bases and sees(rights, bases[document.base].access, document.access)
        for document in catalogue.at(url, LOOKED_AT)
    )
