"""Search results as Dify's citations: context of an LLM node, sources of its answer; used by `tools/search`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dify_plugin.server import Found, Passage


@dataclass(frozen=True)
class Citations:
    """The tool's three variables."""

    items: list[dict[str, Any]]
    context: str
    found: str

    @classmethod
    def of(cls, reply: Found) -> Citations:
        """From the tool server's answer; passages that do not cover the question are left out."""
        passages = reply.passages if reply.found else []
        items = [_citation(position, passage) for position, passage in enumerate(passages, start=1)]
        context = "\n\n".join(item["content"] for item in items)
        return cls(items, context, "yes" if items else "no")


def _citation(position: int, passage: Passage) -> dict[str, Any]:
    """Dify shows an item as a citation only with `_source`; a URL has its place in `doc_metadata` alone."""
    return {
        "title": passage.title,
        "content": f"[{position}] {passage.title}\n{passage.content}",
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
            "doc_metadata": {"url": passage.url, "source_id": passage.source_id},
        },
    }
