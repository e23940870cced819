"""Knowledge's doors, wired together on one opened catalogue and index; for `app`."""

from dataclasses import replace

from flask import Flask
from prometheus_client import CollectorRegistry

import tool_server.knowledge.documents
import tool_server.knowledge.retrieval
import tool_server.knowledge.routes
from tool_server.auth import Keys
from tool_server.knowledge.asking import Asking
from tool_server.knowledge.misses import MissWriter
from tool_server.knowledge.open_to_all import NoteRestricted
from tool_server.knowledge.rights import ResolveTicket
from tool_server.knowledge.search import Knowledge
from tool_server.settings import Settings


def register(
    app: Flask,
    settings: Settings,
    keys: Keys,
    registry: CollectorRegistry,
    resolve_ticket: ResolveTicket,
    note_restricted: NoteRestricted,
) -> None:
    """Add the routes to `app`; `note_restricted` is told what not everybody may see, before it is given out."""
    knowledge = Knowledge.open(settings, registry)
    misses = MissWriter(knowledge.catalogue.misses, keep=settings.knowledge_misses)
    asking = Asking(replace(knowledge, note_miss=misses.note), registry)
    app.register_blueprint(
        tool_server.knowledge.routes.blueprint(asking, keys, resolve_ticket, note_restricted)
    )
    app.register_blueprint(tool_server.knowledge.retrieval.blueprint(asking, keys))
    app.register_blueprint(
        tool_server.knowledge.documents.blueprint(
            asking.knowledge, keys, resolve_ticket, note_restricted
        )
    )
