"""Pinned questions over HTTP, for the editor: list, add, change, delete, import; registered by `routes`."""

from flask import Blueprint, Response, jsonify, request

from tool_server.auth import Keys
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.pages import Page
from tool_server.knowledge.pins import PinText
from tool_server.knowledge.pins_import import import_pins
from tool_server.settings import Settings


class NewPin(PinText):
    """A pin with the base that it belongs to."""

    base: str

    def text(self) -> PinText:
        return PinText(**self.model_dump(exclude={"base"}))


def blueprint(settings: Settings, catalogue: Catalogue, keys: Keys) -> Blueprint:
    """`/knowledge/pins…`, with a key of the scope `editor`."""
    routes = Blueprint("pins", __name__)

    @routes.get("/pins")
    def pins() -> Response:
        keys.require("editor")
        page = Page.asked()
        found = catalogue.pins.page(page.base, offset=page.offset, limit=page.limit)
        return jsonify(pins=[pin.as_json() for pin in found])

    @routes.post("/pins")
    def add() -> Response:
        keys.require("editor")
        new = NewPin.model_validate(request.get_json(force=True))
        return jsonify(id=catalogue.pins.put(new.base, new.text(), limit=settings.knowledge_pins))

    @routes.put("/pins/<name>")
    def change(name: str) -> Response:
        keys.require("editor")
        catalogue.pins.change(name, PinText.model_validate(request.get_json(force=True)))
        return jsonify(id=name)

    @routes.delete("/pins/<name>")
    def remove(name: str) -> Response:
        keys.require("editor")
        catalogue.pins.remove(name)
        return jsonify(id=name)

    @routes.post("/pins/import")
    def from_csv() -> Response:
        """The body is the CSV file."""
        keys.require("editor")
        base = request.args.get("base", "")
        report = import_pins(
            catalogue.pins, base, request.get_data(), limit=settings.knowledge_pins
        )
        return jsonify(report.as_json())

    return routes
