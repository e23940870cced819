"""Search results as Dify's citations: context of an LLM node, sources of its answer; used by `tools/search`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dify_plugin.quote import quoted, within
from dify_plugin.shapes import Found, Passage


@dataclass(frozen=True)
class Citations:
    """What the tool's variables say of a search."""

    items: list[dict[str, Any]]
    truncated: bool

    @classmethod
    def of(cls, reply: Found, budget: int) -> Citations:
        """From the tool server's answer; passages that do not cover the question are left out."""
        passages = reply.passages if reply.found else []
        kept = list(_fitting(passages, budget))
        cut = [text for passage, text in kept if text != passage.content]
        items = [_citation(at, passage, text) for at, (passage, text) in enumerate(kept, start=1)]
        return cls(items, bool(cut) or len(kept) < len(passages))

    @property
    def context(self) -> str:
        return "\n\n".join(item["content"] for item in self.items)

    def variables(self) -> dict[str, object]:
        """By the names of the tool's output schema; a word and no truth value, as an If node compares it easiest."""
        return {
            "result": self.items,
            "context": self.context,
            "found": _word(bool(self.items)),
            "count": len(self.items),
            "truncated": _word(self.truncated),
        }


def _fitting(passages: list[Passage], budget: int) -> Iterator[tuple[Passage, str]]:
    """Passages with their text, in their order, until `budget` characters are used; the last ends with a sentence."""
    for passage in passages:
        text = within(passage.content, budget)
        if text:
            yield passage, text
        if text != passage.content:
            return
        budget -= len(text)


def _citation(position: int, passage: Passage, text: str) -> dict[str, Any]:
    """Dify shows an item as a citation only with `_source`; a URL has its place in `doc_metadata` alone."""
    return {
        "title": passage.title,
        "content": quoted(position, passage.title, text),
        "metadata": {
            "_source": "knowledge",
            "position": position,
            "dataset_id": passage.base,
            "dataset_name": passage.base,
            "document_id": passage.document_id,
            "document_name": passage.title,
            "data_source_type": "external",
            "segment_id": passage.segment_id,
            "retriever_from": "workflow",
            "score": passage.score,
            "page": passage.page,
            "doc_metadata": {
                **passage.metadata,
                "url": passage.url,
                "source_id": passage.source_id,
                "heading": passage.heading,
                "page": passage.page,
            },
        },
    }


def _word(value: bool) -> str:
    return "yes" if value else "no"
