"""What crosses knowledge's borders: a document as it was read, its passages, and a passage as it is found."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tool_server.knowledge.rights import INHERITED

BASE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
type Value = str | float  # of one metadata key; a time is RFC 3339 text

NAMESPACE = uuid.UUID("6f0c9d1e-53c4-5b61-9d0f-2f3c1a7e8b44")


@dataclass(frozen=True)
class Section:
    """A part of a document under its path of headings; `page` counts from 1 (a slide's or sheet's number too).

    Passages are cut out of sections: those of one section have one parent.
    """

    heading: str
    text: str
    page: int | None = None


@dataclass(frozen=True)
class Document:
    """One document of one base; `source_id` says where it came from and is what makes it the same one again."""

    source_id: str
    title: str
    sections: tuple[Section, ...]
    url: str = ""
    metadata: Mapping[str, Value] = field(default_factory=dict)
    access: tuple[
        str, ...
    ] = ()  # rights that may see it (`rights`); none of its own: whoever may see the base

    def digest(self, recipe: str = "") -> str:
        """Changes when anything of it changes but the place it came from, or how passages are made of it."""
        sections = [(section.heading, section.text, section.page) for section in self.sections]
        whole = (self.title, sections, self.url, dict(self.metadata), self.access, recipe)
        return hashlib.sha256(json.dumps(whole, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Piece:
    """What `cut` makes of a section: a passage, with the number of its section."""

    heading: str
    text: str
    section: int = 0
    page: int | None = None


@dataclass(frozen=True)
class StoredDocument:
    """A document as the catalogue holds it, without its passages."""

    id: str
    base: str
    source_id: str
    title: str
    url: str
    language: str
    access: tuple[str, ...]
    metadata: Mapping[str, Value]


@dataclass(frozen=True)
class StoredPassage:
    """A passage as the catalogue holds it; `section` is the number of the section that it was cut out of."""

    id: str
    document_id: str
    base: str
    source_id: str
    document_title: str
    url: str
    heading: str
    ordinal: int
    text: str
    section: int = 0
    page: int | None = None
    language: str = ""  # of the document: "zh", "en", or "" where it is neither
    access: tuple[str, ...] = (INHERITED,)
    metadata: Mapping[str, Value] = field(default_factory=dict)  # of the document

    @property
    def title(self) -> str:
        """Document and path of headings: "员工手册 › 年假"."""
        return " › ".join(part for part in (self.document_title, self.heading) if part)


def document_id(base: str, source_id: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{base}\n{source_id}"))


def passage_id(document: str, version: int, ordinal: int) -> str:
    """Another one in each version: until the index has turned to the new one, the old one is found whole."""
    return str(uuid.uuid5(NAMESPACE, f"{document}\n{version}\n{ordinal}"))
