"""`/cgi-bin/kf/…` over HTTP, with the app's access token and the script's faults."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from playground.wechat.kf.service import Service
from playground.wechat.platform import Platform
from playground.wechat.routes import answer_call as answer

MESSAGES = {
    40008: "invalid message type",
    40058: "invalid Request Parameter",
    44004: "text content is empty",
    45009: "api freq out of limit",
    95000: "invalid open_kfid",
    95001: "send msg count limit",
    95002: "send msg time limit",
    95007: "invalid msg token",
    95008: "invalid menu item count",
    95013: "conversation ended",
    95014: "user is not a servicer",
    95016: "not allow to trans to this state",
    95018: "send msg state not allow",
    95021: "invalid code",
}


def kf_blueprint(platform: Platform, service: Service) -> Blueprint:
    """Each call takes and gives a JSON object."""
    routes = Blueprint("kf", __name__, url_prefix="/cgi-bin/kf")

    def add(path: str, call: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        def view() -> Response:
            token, body = request.args.get("access_token", ""), _body()
            return answer(platform, lambda: _answered(platform, token, call, body))

        routes.add_url_rule(path, endpoint=path, view_func=view, methods=["POST"])

    add("/sync_msg", service.sync.pull)
    add("/send_msg", service.send.message)
    add("/send_msg_on_event", service.send.on_event)
    add("/service_state/get", service.sessions.get)
    add("/service_state/trans", service.sessions.trans)
    add("/account/list", lambda body: _accounts(service, body))
    return routes


def _accounts(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    offset, limit = body.get("offset", 0), body.get("limit", 100)
    if not isinstance(offset, int) or not isinstance(limit, int) or not 1 <= limit <= 100:
        return {"errcode": 40058}
    listed = [
        {"open_kfid": account.open_kfid, "name": account.name, "avatar": ""}
        for account in service.desk.accounts.values()
    ]
    return {"errcode": 0, "errmsg": "ok", "account_list": listed[offset : offset + limit]}


def _answered(
    platform: Platform,
    token: str,
    call: Callable[[dict[str, Any]], dict[str, Any]],
    body: dict[str, Any],
) -> dict[str, Any]:
    code = platform.api.tokens.fault(token)
    said = {"errcode": code} if code else call(body)
    return {"errmsg": MESSAGES.get(said["errcode"], "invalid access_token"), **said}


def _body() -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    return body if isinstance(body, dict) else {}
