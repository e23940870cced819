"""Searching an index of others: its own fields and analysers, read only; for `search`, which merges what comes.

Scores of such an index have no highest value that could be known: s / (s + 10) puts them into 0..1 in their order.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError

from tool_server.errors import Unavailable
from tool_server.knowledge.document import NAMESPACE
from tool_server.knowledge.foreign_index import ForeignIndex
from tool_server.knowledge.index.elastic_client import Connection
from tool_server.knowledge.question import Passage

# An analyser may make a clause of each character and field; Elasticsearch takes at least 1,024 clauses.
CLAUSES = 1024
CONTENT_CHARACTERS = 8000
HALF_SCORE = 10.0


def search_foreign(
    connection: Connection, base: str, profile: ForeignIndex, query: str, limit: int
) -> list[Passage]:
    """The best `limit` documents of the base's index; never without its filter. Raises `Unavailable`."""
    try:
        answer = connection.ask("foreign", lambda client: _search(client, profile, query, limit))
    except NotFoundError:
        raise Unavailable(f"The index of the base {base!r} is missing in Elasticsearch.") from None
    return [_passage(hit, base, profile) for hit in answer["hits"]["hits"]]


def _search(client: Elasticsearch, profile: ForeignIndex, query: str, limit: int) -> Any:
    paths = (profile.id, profile.title, profile.content, profile.url, profile.page)
    return client.search(
        index=profile.index,
        query=foreign_query(profile, query),
        size=limit,
        source_includes=sorted({path for path in paths if path}),
        track_total_hits=False,
        allow_partial_search_results=False,
    )


def foreign_query(profile: ForeignIndex, query: str) -> dict[str, Any]:
    """The text as a value, never as syntax, and the filter as it is set."""
    fields = [f"{name}^{boost:g}" for name, boost in profile.fields.items()]
    text = query[: CLAUSES // len(fields)]
    match = {"query": text, "fields": fields, "type": profile.type, "lenient": True}
    asked: dict[str, Any] = {"bool": {"must": [{"multi_match": match}]}}
    if profile.filter is not None:
        asked["bool"]["filter"] = [profile.filter]
    return asked


def _passage(hit: Mapping[str, Any], base: str, profile: ForeignIndex) -> Passage:
    source = hit.get("_source") or {}
    name = _text(source, profile.id) or str(hit["_id"])
    title = _text(source, profile.title)
    page = _text(source, profile.page)
    score = float(hit["_score"])
    return Passage(
        content=_text(source, profile.content)[:CONTENT_CHARACTERS],
        title=title,
        score=round(score / (score + HALF_SCORE), 4),
        document_id=str(uuid.uuid5(NAMESPACE, f"foreign\n{base}\n{name}")),
        source_id=name,
        segment_id=str(uuid.uuid5(NAMESPACE, f"foreign passage\n{base}\n{hit['_id']}")),
        url=_text(source, profile.url),
        base=base,
        document_title=title,
        page=int(page) if page.isdecimal() else None,
    )


def _text(source: Mapping[str, Any], path: str) -> str:
    """What stands at a dotted path; "" where there is nothing. A list's parts become lines."""
    if not path:
        return ""
    found: Any = source.get(path)
    if found is None:
        found = source
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, list):
        return "\n".join(str(part) for part in found if not isinstance(part, dict | list))
    return "" if found is None or isinstance(found, dict) else str(found)
