"""Which language a document is in, told by its letters; for the catalogue, and for a search in one language."""

import re

from tool_server.knowledge.document import Document
from tool_server.knowledge.tokens import HAN

LOOKED_AT = 20_000  # characters
LETTERS = re.compile(rf"([{HAN}])|([A-Za-z]+)")
# A Chinese text with some English words is Chinese.
HAN_SHARE = 0.3


def language_of(document: Document) -> str:
    """ "zh", "en", or "" where there are letters of neither."""
    text = "\n".join(section.text[:LOOKED_AT] for section in document.sections[:50])[:LOOKED_AT]
    han = words = 0
    for match in LETTERS.finditer(document.title + text):
        if match[1]:
            han += 1
        else:
            words += 1
    if not han + words:
        return ""
    return "zh" if han >= HAN_SHARE * (han + words) else "en"
