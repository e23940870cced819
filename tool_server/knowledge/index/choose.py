"""Which index this installation searches, by its settings."""

from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.index import Index
from tool_server.knowledge.index.embedded import Embedded
from tool_server.settings import Settings


def open_index(settings: Settings, catalogue: Catalogue) -> Index:
    return Embedded(settings.data_dir / "index", catalogue)
