"""Knowledge's routes: the search that Dify's tool calls; the other nouns have blueprints of their own below it."""

import time
from dataclasses import replace
from typing import Any, Literal

import structlog
from flask import Blueprint, Response, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import BaseModel, ConfigDict, Field

from tool_server.auth import Keys
from tool_server.errors import BadRequest
from tool_server.key_file import Key
from tool_server.knowledge import bases_routes, misses_routes, pins_routes
from tool_server.knowledge.door import rights_at
from tool_server.knowledge.filters import parse
from tool_server.knowledge.misses import MissWriter
from tool_server.knowledge.question import Mode
from tool_server.knowledge.repair import Repair
from tool_server.knowledge.rights import ResolveTicket
from tool_server.knowledge.search import Knowledge, Question, Result, search
from tool_server.settings import Settings

log = structlog.get_logger()


class SearchRequest(BaseModel):
    """The body of a search. `app` and `conversation` say where the ticket is used; its first use binds it to them."""

    model_config = ConfigDict(extra="forbid")

    query: str
    base: str | None = None
    bases: list[str] = Field(default_factory=list, max_length=100)
    top_k: int = 5
    score_threshold: float = 0.0
    mode: Mode = "auto"
    filters: Any = None  # `filters.parse` says what is wrong, and where
    language: Literal["zh", "en", ""] | None = None
    ticket: str | None = Field(None, max_length=200)
    app: str | None = Field(None, max_length=200)
    conversation: str | None = Field(None, max_length=200)

    def question(self, rights: frozenset[str], *, conditions: int) -> Question:
        """Raises `BadRequest`. `conditions`: how many the filter may have."""
        if self.base and self.bases:
            raise BadRequest("base: give either base or bases.", param="base")
        return Question(
            self.query,
            bases=tuple(dict.fromkeys([self.base] if self.base else self.bases)),
            top_k=self.top_k,
            threshold=self.score_threshold,
            mode=self.mode,
            filter=parse(self.filters, place="filters", limit=conditions),
            language=self.language or "",
            rights=rights,
        )


def blueprint(
    settings: Settings, keys: Keys, registry: CollectorRegistry, resolve_ticket: ResolveTicket
) -> Blueprint:
    """`/knowledge/…`: to search with a key of the scope `knowledge`, to change with one of the scope `editor`."""
    routes = Blueprint("knowledge", __name__, url_prefix="/knowledge")
    knowledge = Knowledge.open(settings, registry)
    misses = MissWriter(knowledge.catalogue.misses, keep=settings.knowledge_misses)
    knowledge = replace(knowledge, note_miss=misses.note)
    repair = Repair(knowledge)
    metrics = _Metrics(registry)

    @routes.post("/search")
    def find() -> Response:
        key = keys.require("knowledge")
        started = time.monotonic()
        asked = SearchRequest.model_validate(request.get_json(force=True))
        repair.if_behind()
        rights = _rights(asked, key, resolve_ticket)
        question = asked.question(rights, conditions=settings.knowledge_filter_conditions)
        result = search(knowledge, question)
        seconds = time.monotonic() - started
        metrics.observe(seconds, found=result.found)
        _report(result, seconds, ticket=bool(asked.ticket))
        return jsonify(result.as_json())

    routes.register_blueprint(bases_routes.blueprint(knowledge.catalogue, keys, resolve_ticket))
    routes.register_blueprint(pins_routes.blueprint(settings, knowledge.catalogue, keys))
    routes.register_blueprint(misses_routes.blueprint(knowledge.catalogue, keys))
    return routes


def _rights(asked: SearchRequest, key: Key, resolve_ticket: ResolveTicket) -> frozenset[str]:
    return rights_at(
        key,
        resolve_ticket,
        ticket=asked.ticket or "",
        app=asked.app or "",
        conversation=asked.conversation or "",
    )


def _report(result: Result, seconds: float, *, ticket: bool) -> None:
    log.info(
        "search",
        found=result.found,
        passages=len(result.passages),
        pinned=any(passage.pinned for passage in result.passages),
        mode=result.mode,
        ticket=ticket,
        seconds=round(seconds, 4),
    )


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "shenqiao_knowledge_search_seconds",
            "Time of one search, from the request to its result.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
            registry=registry,
        )
        self._searches = Counter(
            "shenqiao_knowledge_searches_total",
            "Searches by whether the passages cover the question.",
            ["found"],
            registry=registry,
        )

    def observe(self, seconds: float, *, found: bool) -> None:
        self._seconds.observe(seconds)
        self._searches.labels("yes" if found else "no").inc()
