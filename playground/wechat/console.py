"""What an administrator does in the platform's console, for testers: contacts that change, trusted addresses."""

from typing import Annotated

from flask import Blueprint, Response, jsonify, request
from pydantic import Field

from playground.wechat.control import Body, refuse_bad_bodies
from playground.wechat.deliver import Busy
from playground.wechat.platform import Platform

# The sender of the platform's own events.
SYSTEM = "sys"


class Moved(Body):
    """A person's new departments (none: they leave), or a department's new parent; `tell` sends the event."""

    user: str = ""
    departments: tuple[int, ...] = ()
    department: Annotated[int, Field(ge=0)] = 0
    parent: Annotated[int, Field(ge=0)] = 0
    tell: bool = True


class Trusted(Body):
    """The list of 企业可信IP."""

    ips: tuple[str, ...]


def console_blueprint(platform: Platform) -> Blueprint:
    """Below `/playground`, as the rest of what a tester does."""
    routes = Blueprint("console", __name__, url_prefix="/playground")
    refuse_bad_bodies(routes)

    @routes.post("/contacts")
    def contacts() -> tuple[Response, int] | Response:
        moved = Moved.model_validate(request.get_json())
        if bool(moved.user) == bool(moved.department):
            return jsonify(error="give either user or department"), 400
        if moved.user:
            change = platform.org.move(moved.user, moved.departments)
        else:
            change = platform.org.hang(moved.department, moved.parent)
        if not moved.tell:
            return jsonify(msg_id="")
        try:
            return jsonify(msg_id=platform.write(SYSTEM, "", "change_contact", more=change.fields))
        except Busy:
            return jsonify(error="too many deliveries are on their way"), 429

    @routes.post("/trusted_ips")
    def trusted_ips() -> Response:
        platform.gate.trust(Trusted.model_validate(request.get_json()).ips)
        return jsonify(ok=True)

    return routes
