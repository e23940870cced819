"""The knowledge bases over HTTP: which there are, and what is set for each; registered by `routes`."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tool_server.auth import Keys
from tool_server.errors import BadRequest, NotFound
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.document import BASE_NAME
from tool_server.knowledge.door import rights_at
from tool_server.knowledge.rights import ResolveTicket, sees
from tool_server.knowledge.search import Knowledge
from tool_server.knowledge.vectors.leg import NOT_CONFIGURED


def blueprint(knowledge: Knowledge, keys: Keys, resolve_ticket: ResolveTicket) -> Blueprint:
    """`/knowledge/bases…`: the list for whoever searches, the settings for the editor."""
    routes = Blueprint("bases", __name__)
    catalogue, vectors = knowledge.catalogue, knowledge.vectors

    @routes.get("/bases")
    def bases() -> Response:
        key = keys.require("knowledge")
        given = request.args.get
        rights = rights_at(
            key,
            resolve_ticket,
            ticket=given("ticket", ""),
            app=given("app", ""),
            conversation=given("conversation", ""),
        )
        open_to = {name for name, at in catalogue.profiles().items() if sees(rights, at.access)}
        found = [asdict(base) for base in catalogue.bases() if base.name in open_to]
        reason = vectors.reason() if vectors else NOT_CONFIGURED
        return jsonify(bases=found, vectors={"on": not reason, "reason": reason})

    @routes.get("/bases/<name>")
    def base(name: str) -> Response:
        keys.require("editor")
        profile = catalogue.profiles().get(name)
        if profile is None:
            raise NotFound(f"There is no knowledge base {name[:64]!r}.", param="base")
        return jsonify(_shown(name, profile))

    @routes.put("/bases/<name>")
    def set_base(name: str) -> Response:
        keys.require("editor")
        if not BASE_NAME.fullmatch(name):
            raise BadRequest(
                "A base's name has 1 to 64 small letters, digits, '-' and '_'.", param="base"
            )
        profile = Profile.model_validate(request.get_json(force=True))
        catalogue.set_profile(name, profile)
        return jsonify(_shown(name, profile))

    return routes


def _shown(name: str, profile: Profile) -> dict[str, Any]:
    return {"name": name, **profile.model_dump(mode="json")}
