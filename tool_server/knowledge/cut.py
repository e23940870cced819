"""Cutting sections into passages: whole where they are short, at paragraph and sentence ends where they are long."""

import re
from collections.abc import Iterator

from tool_server.knowledge.document import Document, Piece

PARAGRAPH = re.compile(r"\n\s*\n")
SENTENCE = re.compile(r"(?<=[。！？!?；;\n])|(?<=[.])(?=\s)")


def cut(document: Document, limit: int) -> list[Piece]:
    """A document's passages, each at most `limit` characters, under their headings."""
    return [
        Piece(section.heading, text, number, section.page)
        for number, section in enumerate(document.sections)
        for text in _pack(_units(section.text, limit), limit)
    ]


def _units(text: str, limit: int) -> Iterator[str]:
    """Paragraphs; of those that are too long the sentences and lines; of those that are too long slices."""
    for paragraph in PARAGRAPH.split(text):
        whole = paragraph.strip() + "\n"
        if len(whole) <= limit:
            yield whole
            continue
        for sentence in SENTENCE.split(whole):
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
