"""Knowledge's routes: the search that Dify's tool calls; the other nouns have blueprints of their own below it."""

from typing import Any, Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import Field

from tool_server.auth import Keys
from tool_server.errors import BadRequest
from tool_server.knowledge import bases_routes, misses_routes, pins_routes
from tool_server.knowledge.asking import Asking
from tool_server.knowledge.filters import parse
from tool_server.knowledge.identity import Identified
from tool_server.knowledge.jobs import routes as jobs
from tool_server.knowledge.open_to_all import NoteGiven, open_to_all, to_nobody
from tool_server.knowledge.question import Mode, Question
from tool_server.knowledge.rights import PUBLIC, ResolveTicket


class SearchRequest(Identified):
    """The body of a search."""

    query: str
    base: str | None = None
    bases: list[str] = Field(default_factory=list, max_length=100)
    top_k: int = 5
    score_threshold: float = 0.0
    mode: Mode = "auto"
    filters: Any = None  # `filters.parse` says what is wrong, and where
    language: Literal["zh", "en", ""] | None = None

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
    asking: Asking,
    keys: Keys,
    resolve_ticket: ResolveTicket,
    note_given: NoteGiven = to_nobody,
) -> Blueprint:
    """`/knowledge/…`: to search with a key of the scope `knowledge`, to change with one of the scope `editor`."""
    routes = Blueprint("knowledge", __name__, url_prefix="/knowledge")
    settings, catalogue = asking.knowledge.settings, asking.knowledge.catalogue

    @routes.post("/search")
    def find() -> Response:
        key = keys.require("knowledge")
        asked = SearchRequest.model_validate(request.get_json(force=True))
        rights = asked.rights(key, resolve_ticket)
        question = asked.question(rights, conditions=settings.knowledge_filter_conditions)
        known = bool(asked.ticket) and rights != {PUBLIC}
        result = asking.search(question, door="search", asker_known=known)
        if asked.ticket and result.passages:
            documents = {passage.document_id for passage in result.passages}
            closed = not open_to_all(asking.knowledge, result.passages)
            note_given(asked.ticket, documents, closed=closed)
        return jsonify(result.as_json())

    routes.register_blueprint(jobs.blueprint(asking.knowledge, keys))
    routes.register_blueprint(bases_routes.blueprint(asking.knowledge, keys, resolve_ticket))
    routes.register_blueprint(pins_routes.blueprint(settings, catalogue, keys))
    routes.register_blueprint(misses_routes.blueprint(catalogue, keys))
    return routes
