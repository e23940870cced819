"""Knowledge's routes: the search that Dify's tool calls, and the list of bases."""

import time
from collections.abc import Callable
from dataclasses import asdict

import structlog
from flask import Blueprint, Response, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import BaseModel, ConfigDict, Field

from tool_server.access import Asker
from tool_server.auth import Keys
from tool_server.knowledge.jobs import routes as jobs
from tool_server.knowledge.repair import Repair
from tool_server.knowledge.rights import rights_of
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.settings import Settings

log = structlog.get_logger()

type ResolveTicket = Callable[[str, str, str], Asker | None]


class SearchRequest(BaseModel):
    """The body of a search. `app` and `conversation` say where the ticket is used; its first use binds it to them."""

    model_config = ConfigDict(extra="forbid")

    query: str
    base: str | None = None
    top_k: int = 5
    ticket: str | None = Field(None, max_length=200)
    app: str | None = Field(None, max_length=200)
    conversation: str | None = Field(None, max_length=200)


def blueprint(
    settings: Settings, keys: Keys, registry: CollectorRegistry, resolve_ticket: ResolveTicket
) -> Blueprint:
    """`/knowledge/…`, with a key of the scope `knowledge`."""
    routes = Blueprint("knowledge", __name__, url_prefix="/knowledge")
    knowledge = Knowledge.open(settings)
    repair = Repair(knowledge)
    metrics = _Metrics(registry)
    routes.register_blueprint(jobs.blueprint(knowledge, keys))

    @routes.post("/search")
    def find() -> Response:
        key = keys.require("knowledge")
        started = time.monotonic()
        asked = SearchRequest.model_validate(request.get_json(force=True))
        asker = _asker(asked, resolve_ticket)
        repair.if_behind()
        question = Question(
            asked.query,
            bases=(asked.base,) if asked.base else (),
            top_k=asked.top_k,
            rights=rights_of(asker, key.rights),
        )
        result = search(knowledge, question)
        seconds = time.monotonic() - started
        metrics.observe(seconds, found=result.found)
        log.info(
            "search",
            found=result.found,
            passages=len(result.passages),
            asker_known=asker is not None,
            seconds=round(seconds, 4),
        )
        return jsonify(result.as_json())

    @routes.get("/bases")
    def bases() -> Response:
        keys.require("knowledge")
        return jsonify(bases=[asdict(base) for base in knowledge.catalogue.bases()])

    return routes


def _asker(asked: SearchRequest, resolve_ticket: ResolveTicket) -> Asker | None:
    """Who asks; None for nobody in particular, who may see what the key may."""
    if not asked.ticket:
        return None
    return resolve_ticket(asked.ticket, asked.app or "", asked.conversation or "")


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
