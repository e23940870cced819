"""The platform's API over HTTP, and the faults that a script puts into it."""

import socket
import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from playground.wechat import media_calls, org_calls
from playground.wechat.faults import Fault
from playground.wechat.ledger import Call
from playground.wechat.platform import Platform


def api_blueprint(platform: Platform) -> Blueprint:
    """`/cgi-bin/…`."""
    routes = Blueprint("api", __name__, url_prefix="/cgi-bin")
    api = platform.api

    @routes.get("/gettoken")
    def gettoken() -> Response:
        corp_id, secret = request.args.get("corpid", ""), request.args.get("corpsecret", "")
        return answer_call(platform, lambda: api.gettoken(corp_id, secret))

    @routes.post("/message/send")
    def send() -> Response:
        raw = request.get_data()
        return answer_call(platform, lambda: api.send(_token(), raw))

    @routes.post("/message/update_template_card")
    def update_card() -> Response:
        raw = request.get_data()
        return answer_call(platform, lambda: api.update_card(_token(), raw))

    @routes.get("/auth/getuserinfo")
    def user_of_code() -> Response:
        code = request.args.get("code", "")
        return answer_call(
            platform, lambda: api.token_error(_token()) or platform.oauth.user_of(code)
        )

    @routes.post("/menu/create")
    def create_menu() -> Response:
        raw, agent_id = request.get_data(), request.args.get("agentid", "")
        return answer_call(platform, lambda: api.create_menu(_token(), agent_id, raw))

    @routes.get("/getcallbackip")
    def getcallbackip() -> Response:
        return answer_call(platform, lambda: api.callback_addresses(_token()))

    org_calls.add_calls(routes, platform, lambda call: answer_call(platform, call))

    @routes.post("/media/upload")
    def upload() -> Response:
        return answer_call(platform, lambda: media_calls.upload(platform, _token()))

    @routes.get("/media/get")
    def get_media() -> Response:
        return answer_call(platform, lambda: media_calls.get(platform, _token()))

    return routes


def _token() -> str:
    return request.args.get("access_token", "")


def answer_call(platform: Platform, call: Callable[[], dict[str, Any] | Response]) -> Response:
    """The call's answer, or what the fault that is scripted for it makes of it; either way it is written down."""
    started_at, started = time.time(), time.monotonic()
    fault = platform.api.faults.next(request.path)
    address = request.remote_addr or ""
    code, response = _meet(fault, lambda: platform.gate.refuse(request.path, address) or call())
    platform.ledger.called(
        Call(
            path=request.path,
            status=0 if response is None else response.status_code,
            errcode=code,
            at=started_at,
            seconds=time.monotonic() - started,
            fault=fault.fault if fault else "",
        )
    )
    if fault is not None and fault.fault == "slow_after":
        time.sleep(fault.seconds)
    return _end_connection() if response is None else response


def _meet(
    fault: Fault | None, call: Callable[[], dict[str, Any] | Response]
) -> tuple[int | None, Response | None]:
    """The errcode and the response; no response where the connection is to end."""
    kind = fault.fault if fault else ""
    if kind == "http_500":
        return None, Response("internal error", status=500)
    if kind == "reset_before":
        return None, None
    if fault is not None and kind == "slow_before":
        time.sleep(fault.seconds)
    if fault is not None and kind == "errcode":
        body: dict[str, Any] | Response = {"errcode": fault.code, "errmsg": "by script"}
    else:
        body = call()
    code = 0 if isinstance(body, Response) else int(body["errcode"])
    if kind == "reset_after":
        return code, None
    if kind == "broken_json":
        return code, Response('{"errcode": 0, "err', mimetype="application/json")
    return code, body if isinstance(body, Response) else jsonify(body)


def _end_connection() -> Response:
    """Close the socket under the server; what it writes afterwards reaches nobody."""
    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response()
