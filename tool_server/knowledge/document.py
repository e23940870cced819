"""What crosses knowledge's borders: a document as it was read, its passages, and a passage as it is found."""

import hashlib
import json
import re
import uuid
from dataclasses import asdict, dataclass

BASE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NAMESPACE = uuid.UUID("6f0c9d1e-53c4-5b61-9d0f-2f3c1a7e8b44")


@dataclass(frozen=True)
class Section:
    """A part of a document under its path of headings."""

    heading: str
    text: str


@dataclass(frozen=True)
class Document:
    """One document of one base; `source_id` says where it came from and is what makes it the same one again."""

    source_id: str
    title: str
    sections: tuple[Section, ...]
    url: str = ""

    def digest(self) -> str:
        """Changes when anything of it changes."""
        return hashlib.sha256(json.dumps(asdict(self), ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class StoredPassage:
    """A passage as the catalogue holds it."""

    id: str
    document_id: str
    base: str
    source_id: str
    document_title: str
    url: str
    heading: str
    ordinal: int
    text: str

    @property
    def title(self) -> str:
        """Document and path of headings: "员工手册 › 年假"."""
        return " › ".join(part for part in (self.document_title, self.heading) if part)


def document_id(base: str, source_id: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{base}\n{source_id}"))


def passage_id(document: str, ordinal: int) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{document}\n{ordinal}"))
