"""The golden file: a collection of documents, and fifty questions with the passages that must come first."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.knowledge.library import put
from tests.knowledge.served import Server
from tool_server.knowledge.document import Document, Section
from tool_server.knowledge.search import Knowledge

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Golden:
    """A question with the passage that must come first."""

    base: str
    ask: str
    source: str
    holds: str
    filter: Mapping[str, Any] | None = None

    @property
    def condition(self) -> dict[str, Any] | None:
        return {"logical_operator": "and", "conditions": [self.filter]} if self.filter else None


def questions() -> list[Golden]:
    return [Golden(**row) for row in _rows("questions.yaml")]


def fill(knowledge: Knowledge) -> None:
    """Put the collection into an installation, whatever its index is."""
    bases: dict[str, list[Document]] = {}
    for row in _rows("documents.yaml"):
        sections = tuple(Section(**section) for section in row.pop("sections"))
        bases.setdefault(row.pop("base"), []).append(Document(sections=sections, **row))
    for base, documents in bases.items():
        put(knowledge, base, *documents)


def running() -> Server | None:
    """A server that already holds the collection, where the environment names one (`TEST_GOLDEN_URL`, `…_KEY`)."""
    url = os.environ.get("TEST_GOLDEN_URL")
    return Server(url.rstrip("/"), os.environ["TEST_GOLDEN_KEY"]) if url else None


def _rows(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((HERE / name).read_text(encoding="utf-8")))
