"""Dify's own knowledge, for apps that need nothing of ours: passages ranked by the pairs of characters they share."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The share of a question's pairs that a passage must hold; few passages, no statistics.
LEAST = 0.2
NAMES = uuid.UUID("5b0e0f8c-5d7c-4a39-9b68-0d3c4f2f6a10")


class UnknownDataset(Exception):
    """A node names a base that was deleted, or is another workspace's."""


@dataclass(frozen=True)
class Passage:
    base: str
    name: str
    document: str
    number: int
    text: str


class Datasets:
    """All bases by id; each is `{name, documents: {title: text}}`, an empty line ends a passage."""

    def __init__(self, config: Mapping[str, Mapping[str, Any]]) -> None:
        self._passages = {base: _passages(base, content) for base, content in config.items()}

    def retrieve(self, bases: Sequence[str], query: str, top_k: int) -> list[dict[str, Any]]:
        """The best passages first, each as the node `knowledge-retrieval` gives it. Raises `UnknownDataset`."""
        if unknown := set(bases) - set(self._passages):
            raise UnknownDataset(f"Dataset not found: {', '.join(sorted(unknown))}")
        asked = _pairs(query)
        scored = [
            (len(asked & _pairs(passage.document + passage.text)) / max(1, len(asked)), passage)
            for base in bases
            for passage in self._passages[base]
        ]
        best = sorted((one for one in scored if one[0] >= LEAST), key=lambda one: -one[0])
        return [_result(at, *one) for at, one in enumerate(best[:top_k], start=1)]


def _passages(base: str, content: Mapping[str, Any]) -> list[Passage]:
    return [
        Passage(base, str(content["name"]), title, number, part.strip())
        for title, text in content["documents"].items()
        for number, part in enumerate(re.split(r"\n\s*\n", text), start=1)
        if part.strip()
    ]


def _pairs(text: str) -> set[str]:
    plain = re.sub(r"\W+", "", text.casefold())
    return {plain[at : at + 2] for at in range(len(plain) - 1)}


def _result(position: int, score: float, passage: Passage) -> dict[str, Any]:
    document = str(uuid.uuid5(NAMES, f"{passage.base}/{passage.document}"))
    return {
        "title": passage.document,
        "content": passage.text,
        "files": [],
        "metadata": {
            "_source": "knowledge",
            "position": position,
            "dataset_id": passage.base,
            "dataset_name": passage.name,
            "document_id": document,
            "document_name": passage.document,
            "data_source_type": "upload_file",
            "segment_id": str(uuid.uuid5(NAMES, f"{document}/{passage.number}")),
            "retriever_from": "workflow",
            "score": round(score, 4),
            "segment_hit_count": 1,
            "segment_word_count": len(passage.text),
            "segment_position": passage.number,
            "segment_index_node_hash": uuid.uuid5(NAMES, passage.text).hex,
            "doc_metadata": {},
        },
    }
