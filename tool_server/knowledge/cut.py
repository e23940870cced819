"""Cutting sections into passages: whole where they are short, at the ends of paragraphs, lines and sentences else.

Readers give each article, slide, page and row of a sheet a section of its own, so that nothing is joined across them
here; a row of a table within a text is a line. Passages do not overlap: whoever answers gets the whole section.
"""

import re
from collections.abc import Iterator

from tool_server.knowledge.document import Document, Piece

PARAGRAPH = re.compile(r"\n\s*\n")
LINE = re.compile(r"(?<=\n)")
SENTENCE = re.compile(r"(?<=[。！？!?；;])|(?<=[.])(?=\s)")


def cut(document: Document, limit: int) -> list[Piece]:
    """A document's passages, each at most `limit` characters, under their headings."""
    return [
        Piece(section.heading, text, number, section.page)
        for number, section in enumerate(document.sections)
        for text in _pack(_units(section.text, limit), limit)
    ]


def _units(text: str, limit: int) -> Iterator[str]:
    """Paragraphs; of those that are too long the lines, of those the sentences, of those slices."""
    for paragraph in PARAGRAPH.split(text):
        whole = paragraph.strip() + "\n"
        if len(whole) <= limit:
            yield whole
            continue
        for line in LINE.split(whole):
            if len(line) <= limit:
                yield line
                continue
            for sentence in SENTENCE.split(line):
                yield from _slices(sentence, limit)


def _slices(sentence: str, limit: int) -> Iterator[str]:
    """A sentence in parts of at most `limit` characters; between words where it has any."""
    while len(sentence) > limit:
        at = sentence.rfind(" ", limit // 2, limit) + 1 or limit
        yield sentence[:at]
        sentence = sentence[at:]
    yield sentence


def _pack(units: Iterator[str], limit: int) -> Iterator[str]:
    """As many units as fit into one passage."""
    held = ""
    for unit in units:
        if held.strip() and len(held) + len(unit) > limit:
            yield held.strip()
            held = ""
        held += unit
    if held.strip():
        yield held.strip()
