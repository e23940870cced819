"""Knowledge's doors, wired together on one opened catalogue and index; for `app`."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from flask import Flask
from prometheus_client import CollectorRegistry

import tool_server.knowledge.documents
import tool_server.knowledge.retrieval
import tool_server.knowledge.routes
from tool_server.access import Asker
from tool_server.auth import Keys
from tool_server.knowledge.asking import Asking
from tool_server.knowledge.misses import MissWriter
from tool_server.knowledge.open_to_all import NoteGiven
from tool_server.knowledge.rights import ResolveTicket
from tool_server.knowledge.search import Knowledge
from tool_server.knowledge.sources import is_source
from tool_server.settings import Settings


def register(
    app: Flask,
    settings: Settings,
    keys: Keys,
    registry: CollectorRegistry,
    resolve_ticket: ResolveTicket,
    note_given: NoteGiven,
) -> Callable[[Asker, str], bool]:
    """Add the routes to `app`; `note_given` is told what is given out, before it is.

    Returns whether an address is that of a document which a person may see.
    """
    knowledge = Knowledge.open(settings, registry)
    misses = MissWriter(knowledge.catalogue.misses, keep=settings.knowledge_misses)
    asking = Asking(replace(knowledge, note_miss=misses.note), registry)
    app.register_blueprint(
        tool_server.knowledge.routes.blueprint(asking, keys, resolve_ticket, note_given)
    )
    app.register_blueprint(tool_server.knowledge.retrieval.blueprint(asking, keys))
    app.register_blueprint(
        tool_server.knowledge.documents.blueprint(
            asking.knowledge, keys, resolve_ticket, note_given
        )
    )
    return partial(is_source, knowledge.catalogue)
