"""Headings and the text below them to sections, under the path of the headings; used by formats that have any."""

from collections.abc import Sequence
from dataclasses import replace

from tool_server.knowledge.document import Section
from tool_server.knowledge.parse.file import one_line

SEPARATOR = " › "
# A heading that is longer is a paragraph that somebody made bold.
HEADING_CHARACTERS = 120


class Outline:
    """Fed from top to bottom; a heading closes the section before it."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._lines: list[str] = []
        self._page: int | None = None
        self._sections: list[Section] = []

    def heading(self, level: int, title: str, page: int | None = None) -> None:
        """A heading; those of its level and below end."""
        self._close()
        kept = [heading for heading in self._path if heading[0] < level]
        self._path = [*kept, (level, one_line(title)[:HEADING_CHARACTERS])]
        self._page = page

    def line(self, text: str, page: int | None = None) -> None:
        """A line of text; an empty one ends a paragraph."""
        if not self._lines and page is not None:
            self._page = page
        self._lines.append(text)

    def end(self) -> None:
        """The section ends; what follows is one more under the same headings."""
        self._close()

    def paragraph(self, text: str) -> None:
        if text.strip():
            self._lines += [text.strip(), ""]

    def sections(self) -> list[Section]:
        """Those with text, in their order."""
        self._close()
        return self._sections

    def _close(self) -> None:
        body = "\n".join(self._lines).strip()
        if body:
            heading = SEPARATOR.join(title for _, title in self._path if title)
            self._sections.append(Section(heading, body, self._page))
        self._lines.clear()


def titled(sections: Sequence[Section], title: str = "") -> tuple[str, list[Section]]:
    """A single heading above all sections is the document's title, and no part of their headings any more.

    A document that says its `title` elsewhere keeps both, where the title does not hold the heading.
    """
    tops = {section.heading.split(SEPARATOR)[0] for section in sections}
    if len(tops) != 1 or tops == {""}:
        return title, list(sections)
    (top,) = tops
    if title and top not in title:
        return title, list(sections)
    return title or top, [
        replace(section, heading=section.heading.removeprefix(top).removeprefix(SEPARATOR))
        for section in sections
    ]
