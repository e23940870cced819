"""Plain text: one section, or one for each article and numbered heading where the text is made of them."""

from collections.abc import Iterator

from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.parse.decode import decode
from tool_server.knowledge.parse.file import File
from tool_server.knowledge.parse.numbered import numbered


def read(file: File) -> Iterator[Document]:
    """One document."""
    text = decode(file.content)
    lines = [(line, None) for line in text.split("\n")]
    sections = numbered(lines) or [Section("", text.strip())]
    yield file.document(sections, kind="txt")
