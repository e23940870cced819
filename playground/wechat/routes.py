"""The stand-in's HTTP surface: the platform's API, and `/playground/…` to write messages and to look."""

import itertools
import time
from typing import Any

from flask import Blueprint, Response, jsonify, request

from playground.wechat.api import Api, Fault
from playground.wechat.deliver import Attacker, Courier
from playground.wechat.ledger import Ledger
from playground.wechat.message import KINDS, Message, new_message

LONGEST_WAIT_S = 120.0
COPIES = 50
MESSAGES = 20000


class Platform:
    """Everything of one app, for the routes and for the phone."""

    def __init__(self, api: Api, courier: Courier, ledger: Ledger) -> None:
        self.api = api
        self.courier = courier
        self.ledger = ledger
        self._numbers = itertools.count(int(time.time() * 1000))
        self._messages: dict[str, Message] = {}

    def write(self, user: str, text: str, kind: str = "text", copies: int = 1) -> str:
        """A person sends a message; its id. Delivery goes on in the background."""
        message = new_message(next(self._numbers), user, kind, text)
        self._messages[message.id] = message
        if len(self._messages) > MESSAGES:
            del self._messages[next(iter(self._messages))]
        self.ledger.show(user, "user", text if kind == "text" else f"[{kind}]", msg_id=message.id)
        self.courier.send(message, copies)
        return message.id

    def replay(self, msg_id: str, copies: int) -> bool:
        message = self._messages.get(msg_id)
        if message is not None:
            self.courier.send(message, copies)
        return message is not None

    def attack(self, kind: str) -> dict[str, object]:
        message = new_message(next(self._numbers), "attacker", "text", "/clear")
        return Attacker(self.courier).attack(kind, message)


def api_blueprint(platform: Platform) -> Blueprint:
    """`/cgi-bin/…`."""
    routes = Blueprint("api", __name__, url_prefix="/cgi-bin")

    @routes.get("/gettoken")
    def gettoken() -> Response:
        arguments = request.args
        return _answer(
            platform,
            lambda: platform.api.gettoken(
                arguments.get("corpid", ""), arguments.get("corpsecret", "")
            ),
        )

    @routes.post("/message/send")
    def send() -> Response:
        token, raw = request.args.get("access_token", ""), request.get_data()
        return _answer(platform, lambda: platform.api.send(token, raw))

    @routes.get("/getcallbackip")
    def getcallbackip() -> Response:
        return jsonify(errcode=0, errmsg="ok", ip_list=["127.0.0.1"])

    return routes


def control_blueprint(platform: Platform) -> Blueprint:
    """`/playground/…`: a person's hands and eyes, and a tester's."""
    routes = Blueprint("control", __name__, url_prefix="/playground")

    @routes.post("/callback_url")
    def callback_url() -> Response:
        return jsonify(platform.courier.check_address(str(request.get_json()["callback_url"])))

    @routes.post("/messages")
    def messages() -> tuple[Response, int] | Response:
        body = request.get_json()
        kind, copies = str(body.get("kind", "text")), int(body.get("copies", 1))
        if kind not in KINDS or not 1 <= copies <= COPIES:
            return jsonify(error="unknown kind, or too many copies"), 400
        msg_id = platform.write(str(body["user"]), str(body.get("text", "")), kind, copies)
        return jsonify(msg_id=msg_id)

    @routes.post("/replay")
    def replay() -> tuple[Response, int] | Response:
        body = request.get_json()
        known = platform.replay(str(body["msg_id"]), int(body.get("copies", 1)))
        return jsonify(ok=known), 200 if known else 404

    @routes.get("/seen")
    def seen() -> Response:
        wait_s = min(request.args.get("wait_s", 0.0, float), LONGEST_WAIT_S)
        after = request.args.get("after", 0, int)
        return jsonify(seen=platform.ledger.seen(request.args["user"], after=after, wait_s=wait_s))

    _add_tester(routes, platform)
    return routes


def _add_tester(routes: Blueprint, platform: Platform) -> None:
    @routes.get("/deliveries")
    def deliveries() -> Response:
        return jsonify(deliveries=platform.ledger.deliveries(request.args.get("msg_id", "")))

    @routes.get("/calls")
    def calls() -> Response:
        return jsonify(calls=platform.ledger.calls())

    @routes.get("/counts")
    def counts() -> Response:
        return jsonify(dict(platform.ledger.counts))

    @routes.post("/script")
    def script() -> Response:
        platform.api.script(Fault(**request.get_json()))
        return jsonify(ok=True)

    @routes.post("/forget_token")
    def forget_token() -> Response:
        platform.api.forget_token()
        return jsonify(ok=True)

    @routes.post("/attack")
    def attack() -> tuple[Response, int] | Response:
        try:
            return jsonify(platform.attack(str(request.get_json()["kind"])))
        except KeyError as error:
            return jsonify(error=f"unknown kind {error}"), 400


def _answer(platform: Platform, call: Any) -> Response:
    """The call's answer, or the fault scripted for it: errcode, http_500, broken_json, slow_before, slow_after."""
    started = time.monotonic()
    fault = platform.api.next_fault(request.path)
    body: dict[str, Any]
    if fault is not None and fault.fault == "slow_before":
        time.sleep(fault.seconds)
    if fault is not None and fault.fault == "errcode":
        body = {"errcode": fault.code, "errmsg": "by script"}
    elif fault is not None and fault.fault == "http_500":
        return Response("internal error", status=500)
    else:
        body = call()
    platform.ledger.called(request.path, int(body["errcode"]), time.monotonic() - started)
    if fault is not None and fault.fault == "slow_after":
        time.sleep(fault.seconds)
    if fault is not None and fault.fault == "broken_json":
        return Response('{"errcode": 0, "err', mimetype="application/json")
    return jsonify(body)
