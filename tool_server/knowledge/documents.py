"""A whole document: its text for Dify's tool, in parts, and a page of a public one for people who follow a source."""

import uuid

from flask import Blueprint, Response, jsonify, request
from pydantic import Field

from tool_server.auth import Keys
from tool_server.errors import NotFound
from tool_server.knowledge.document import StoredDocument
from tool_server.knowledge.identity import Identified
from tool_server.knowledge.open_to_all import EVERYBODY, NoteGiven, to_nobody
from tool_server.knowledge.page import content_security_policy, not_found, render
from tool_server.knowledge.present import clean_line, page_of
from tool_server.knowledge.rights import ResolveTicket, sees
from tool_server.knowledge.search import Knowledge
from tool_server.knowledge.text import window_of
from tool_server.knowledge.values import shown

LAST_OFFSET = 10**9  # no document has as many passages, and the database knows the number


class DocumentRequest(Identified):
    """The body of a request for text: from passage `offset` on, as many passages as `limit` characters hold."""

    document_id: str
    offset: int = Field(0, ge=0, le=LAST_OFFSET)
    limit: int | None = Field(None, ge=1)


def blueprint(
    knowledge: Knowledge,
    keys: Keys,
    resolve_ticket: ResolveTicket,
    note_given: NoteGiven = to_nobody,
) -> Blueprint:
    """`/knowledge/document` with a key of the scope `knowledge`; `/knowledge/documents/<id>` for everybody."""
    routes = Blueprint("documents", __name__, url_prefix="/knowledge")
    settings = knowledge.settings
    most = settings.knowledge_text_characters

    @routes.post("/document")
    def text() -> Response:
        key = keys.require("knowledge")
        asked = DocumentRequest.model_validate(request.get_json(force=True, silent=True))
        rights = asked.rights(key, resolve_ticket)
        document = seen(knowledge, asked.document_id, rights)
        if asked.ticket:
            note_given(asked.ticket, [document.id], closed=not _is_open(knowledge, document))
        limit = min(asked.limit or most, most)
        window = window_of(knowledge.catalogue, document.id, asked.offset, limit)
        return jsonify(
            **_described(knowledge, document),
            text=window.text(),
            truncated=window.next_offset is not None,
            next_offset=window.next_offset,
        )

    @routes.get("/documents/<document_id>")
    def page(document_id: str) -> Response:
        """There is one only where pages are switched on, and only of what everybody may see."""
        found = _document(knowledge, document_id)
        if found is None or not page_of(settings, knowledge.catalogue.profiles(), found):
            return _html(not_found(), 404)
        offset = min(max(0, request.args.get("from", 0, type=int)), LAST_OFFSET)
        window = window_of(knowledge.catalogue, found.id, offset, most)
        return _html(render(found, window), 200)

    return routes


def seen(knowledge: Knowledge, document_id: str, rights: frozenset[str]) -> StoredDocument:
    """The document, if these rights open it and its base; else the same `NotFound` as for one that is not there."""
    found = _document(knowledge, document_id)
    profile = knowledge.catalogue.profiles().get(found.base) if found else None
    if found is None or profile is None or not sees(rights, profile.access, found.access):
        raise NotFound("There is no document with this id.", param="document_id")
    return found


def _is_open(knowledge: Knowledge, document: StoredDocument) -> bool:
    profile = knowledge.catalogue.profiles().get(document.base)
    return profile is not None and sees(EVERYBODY, profile.access, document.access)


def _document(knowledge: Knowledge, document_id: str) -> StoredDocument | None:
    try:
        key = str(uuid.UUID(document_id))
    except ValueError:
        return None
    return knowledge.catalogue.documents([key]).get(key)


def _described(knowledge: Knowledge, document: StoredDocument) -> dict[str, object]:
    """What is known of a document, with the address that a citation of it has."""
    profiles = knowledge.catalogue.profiles()
    return {
        "document_id": document.id,
        "source_id": document.source_id,
        "base": document.base,
        "title": clean_line(document.title),
        "url": document.url or page_of(knowledge.settings, profiles, document),
        "metadata": shown(document.metadata),
    }


def _html(body: str, status: int) -> Response:
    response = Response(body, status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = content_security_policy()
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Referrer-Policy"] = "no-referrer"
    # A document that is taken back, or closed, must not live on in a phone.
    response.headers["Cache-Control"] = "no-store"
    return response
