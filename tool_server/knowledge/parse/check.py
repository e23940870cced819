"""What a child may answer: it handled strangers' bytes, so `Parser` believes none of it."""

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.wire import WireError
from tool_server.knowledge.rights import RIGHT

ID_CHARACTERS = 2000
TITLE_CHARACTERS = 500
HEADING_CHARACTERS = 1000
URL_CHARACTERS = 1000
REASON_CHARACTERS = 500
METADATA_KEYS = 40
KEY_CHARACTERS = 64
VALUE_CHARACTERS = 1000
RIGHTS = 64


class Checked:
    """The documents of one file so far."""

    def __init__(self, source_id: str, limits: Limits) -> None:
        self._source_id = source_id
        self._limits = limits
        self._seen: set[int] = set()
        self._characters = 0

    def take(self, document: Document) -> None:
        """Raises `WireError` for a document that no format of ours makes."""
        if not (self._is_of_this_file(document.source_id) and _is_bounded(document)):
            raise WireError("a document is not of this file, or has parts that are too long")
        key = hash(document.source_id)
        if key in self._seen:
            raise WireError("a document comes twice")
        self._seen.add(key)
        self._characters += sum(
            len(section.text) + len(section.heading) for section in document.sections
        )
        if self._characters > self._limits.characters:
            raise WireError("more text than is allowed")

    def reason(self, reason: str) -> str:
        return "".join(filter(str.isprintable, reason))[:REASON_CHARACTERS]

    def _is_of_this_file(self, source_id: str) -> bool:
        if not source_id.startswith(self._source_id) or len(source_id) > ID_CHARACTERS + len(
            self._source_id
        ):
            return False
        return source_id[len(self._source_id) :][:1] in ("", "#", "/")


def _is_bounded(document: Document) -> bool:
    return (
        0 < len(document.title) <= TITLE_CHARACTERS
        and len(document.url) <= URL_CHARACTERS
        and len(document.sections) > 0
        and all(
            len(section.heading) <= HEADING_CHARACTERS
            and (section.page is None or section.page > 0)
            for section in document.sections
        )
        and len(document.metadata) <= METADATA_KEYS
        and all(
            len(key) <= KEY_CHARACTERS
            and (isinstance(value, float) or len(value) <= VALUE_CHARACTERS)
            for key, value in document.metadata.items()
        )
        and len(document.access) <= RIGHTS
        and all(map(RIGHT.fullmatch, document.access))
    )
