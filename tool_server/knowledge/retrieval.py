"""Dify's External Knowledge API: the second door, with Dify's bodies and Dify's error shape.

It carries no user: a search through it sees what is public and what the key itself may see.
"""

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, Field

from tool_server.auth import Keys
from tool_server.errors import ApiError, Forbidden, NotFound, Unauthorized
from tool_server.knowledge import filters
from tool_server.knowledge.asking import Asking
from tool_server.knowledge.rights import rights_of
from tool_server.knowledge.search import Passage, Question
from tool_server.knowledge.values import shown
from tool_server.rim import register_errors

# Dify's own error codes; what has none of them bears its HTTP status.
BAD_HEADER, NOT_AUTHORISED, NO_SUCH_BASE = 1001, 1002, 2001


class RetrievalSetting(BaseModel):
    """`score_threshold` is 0, or null, where Dify's switch for it is off."""

    top_k: int = 5
    score_threshold: float | None = Field(None, ge=0, le=1)


class RetrievalRequest(BaseModel):
    """Dify's body. What a later Dify adds is passed over: its administrator cannot change what it sends."""

    knowledge_id: str = Field(min_length=1)
    query: str
    retrieval_setting: RetrievalSetting = RetrievalSetting()
    metadata_condition: object = None


def blueprint(asking: Asking, keys: Keys) -> Blueprint:
    """`POST /retrieval`, which Dify appends to the address that it was given; with a key of the scope `knowledge`."""
    routes = Blueprint("retrieval", __name__)
    register_errors(routes, _render)

    @routes.post("/retrieval")
    @routes.post("/knowledge/retrieval")
    def retrieve() -> Response:
        """The key is looked at first: Dify's check of a new address sends no body, and takes a 400 for a good key."""
        key = keys.require("knowledge")
        asked = RetrievalRequest.model_validate(request.get_json(force=True, silent=True))
        question = Question(
            asked.query,
            bases=(asked.knowledge_id,),
            top_k=asked.retrieval_setting.top_k,
            threshold=asked.retrieval_setting.score_threshold or 0.0,
            filter=filters.parse(
                asked.metadata_condition,
                limit=asking.knowledge.settings.knowledge_filter_conditions,
            ),
            rights=rights_of(None, key.rights),
        )
        result = asking.search(question, door="retrieval")
        passages = result.passages if result.found else ()
        return jsonify(records=[_record(passage) for passage in passages])

    return routes


def _record(passage: Passage) -> dict[str, object]:
    """Dify makes a citation of it; its id is `document_id`. A document's own keys never hide ours."""
    metadata = {
        **shown(passage.metadata),
        "document_id": passage.document_id,
        "segment_id": passage.segment_id,
        "source_id": passage.source_id,
        "url": passage.url,
        "base": passage.base,
        "heading": passage.heading,
        "page": passage.page,
    }
    score, title = passage.score, passage.title
    return {"content": passage.content, "score": score, "title": title, "metadata": metadata}


def _render(error: ApiError) -> tuple[Response, int]:
    response = jsonify(error_code=_code(error), error_msg=error.message)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    # Dify's check of a new address takes a 401 for success.
    return response, 403 if isinstance(error, Unauthorized) else error.status


def _code(error: ApiError) -> int:
    if isinstance(error, Unauthorized):
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        return NOT_AUTHORISED if kind.lower() == "bearer" and given.strip() else BAD_HEADER
    if isinstance(error, Forbidden):
        return NOT_AUTHORISED
    return NO_SUCH_BASE if isinstance(error, NotFound) else error.status
