"""A file on its way to documents: its bytes, its name and its limits; and the texts that documents are made of."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePath

from tool_server.knowledge.document import Document, Section, Value
from tool_server.knowledge.parse.check import (
    HEADING_CHARACTERS,
    KEY_CHARACTERS,
    TITLE_CHARACTERS,
    VALUE_CHARACTERS,
)
from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.unreadable import Unreadable

# What no text holds: control characters, halves of surrogate pairs, and what is no character at all.
DEBRIS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
BLANKS = re.compile(r"[ \t\u00a0\u3000]+")


@dataclass(frozen=True)
class File:
    """What a format's reader gets."""

    name: str
    source_id: str
    content: bytes
    limits: Limits
    depth: int = 0  # of mails in mails

    @property
    def stem(self) -> str:
        return PurePath(self.name).stem

    def document(
        self,
        sections: Iterable[Section],
        *,
        kind: str,
        title: str = "",
        metadata: Mapping[str, Value | None] | None = None,
    ) -> Document:
        """One document of these sections, fit to cross the pipe. Raises `Unreadable` where there is no text."""
        kept = tuple(self._bounded(sections))
        if not kept:
            raise Unreadable("it holds no text")
        named = one_line(title) or one_line(self.stem) or self.source_id
        return Document(
            self.source_id,
            named[:TITLE_CHARACTERS],
            kept,
            metadata=_metadata({"kind": kind, **(metadata or {})}),
        )

    def _bounded(self, sections: Iterable[Section]) -> Iterable[Section]:
        left = self.limits.characters
        for section in sections:
            text = clean(section.text).strip("\n")
            if not text.strip():
                continue
            heading = clean(section.heading)[:HEADING_CHARACTERS]
            left -= len(text) + len(heading)
            if left < 0:
                raise Unreadable(f"it holds more than {self.limits.characters} characters of text")
            yield replace(section, heading=heading, text=text)


def clean(text: str) -> str:
    return DEBRIS.sub("", text)


def one_line(text: str) -> str:
    """A text's words in one line."""
    return " ".join(clean(text).split())


def moment(value: datetime | None) -> str | None:
    """A time as metadata has it, RFC 3339; one without a zone is taken for UTC."""
    if value is None:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat(timespec="seconds")


def _metadata(values: Mapping[str, Value | None]) -> dict[str, Value]:
    kept: dict[str, Value] = {}
    for key, value in values.items():
        if isinstance(value, str):
            value = one_line(value)[:VALUE_CHARACTERS]
        if value is not None and value != "":
            kept[key[:KEY_CHARACTERS]] = value
    return kept
