"""Markdown: a section for each heading, under the path of the headings above it."""

import re
from collections.abc import Iterator

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.decode import decode
from tool_server.knowledge.parse.file import File
from tool_server.knowledge.parse.outline import Outline, titled
from tool_server.knowledge.parse.unreadable import Unreadable

HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
FENCE = re.compile(r"[ \t]*(```|~~~)")
# Beyond this a line is none that a person wrote as a heading, and matching it costs the square of its length.
LINE_CHARACTERS = 2000


def read(file: File) -> Iterator[Document]:
    """One document."""
    outline = Outline()
    fence = ""
    for line in decode(file.content).split("\n"):
        fence = _fence(fence, line)
        match = None if fence or len(line) > LINE_CHARACTERS else HEADING.match(line)
        if match is None:
            outline.line(line)
        else:
            outline.heading(len(match[1]), match[2])
    title, sections = titled(outline.sections())
    if not sections:
        raise Unreadable("it has headings only")
    yield file.document(sections, kind="md", title=title)


def _fence(fence: str, line: str) -> str:
    """The fence that is open after this line; only its own kind closes it."""
    match = FENCE.match(line)
    if match is None:
        return fence
    if not fence:
        return match[1]
    return "" if match[1] == fence else fence
