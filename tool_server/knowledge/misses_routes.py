"""Questions that found nothing, over HTTP, for the editor: list and forget; registered by `routes`."""

from dataclasses import asdict

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict

from tool_server.auth import Keys
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.pages import Page


class Forgotten(BaseModel):
    """`?base=…&question=…`: one question, those of a base, or all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str | None = None
    question: str | None = None


def blueprint(catalogue: Catalogue, keys: Keys) -> Blueprint:
    """`/knowledge/misses`, with a key of the scope `editor`."""
    routes = Blueprint("misses", __name__)

    @routes.get("/misses")
    def misses() -> Response:
        keys.require("editor")
        page = Page.asked()
        found = catalogue.misses.page(page.base, offset=page.offset, limit=page.limit)
        return jsonify(misses=[asdict(miss) for miss in found])

    @routes.delete("/misses")
    def forget() -> Response:
        keys.require("editor")
        which = Forgotten.model_validate(request.args.to_dict())
        return jsonify(forgotten=catalogue.misses.forget(which.base, which.question))

    return routes
