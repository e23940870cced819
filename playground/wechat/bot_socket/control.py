"""`/playground/bot_socket/…`: people write to the bot, testers cut and count its connections."""

import base64
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import Field

from playground.wechat.bot.message import Written
from playground.wechat.bot_socket.bot import BotSocket
from playground.wechat.bot_socket.server import SocketServer
from playground.wechat.control import FAULT, Body, Copies, refuse_bad_bodies

MEDIA_CHARACTERS = 30 << 20


class SocketWritten(Body):
    """A person's message to the bot; `chat` is the group in which it stands, `data` base64 of what comes with it."""

    user: Annotated[str, Field(min_length=1, max_length=64)]
    text: Annotated[str, Field(max_length=20_000)] = ""
    kind: Literal["text", "image", "mixed", "voice", "file", "video"] = "text"
    chat: Annotated[str, Field(max_length=64)] = ""
    quote: Annotated[str, Field(max_length=20_000)] = ""
    data: Annotated[str, Field(max_length=MEDIA_CHARACTERS)] = ""
    copies: Copies = 1


class SocketEvent(Body):
    """An event; `data` is what the platform puts into it."""

    user: Annotated[str, Field(min_length=1, max_length=64)]
    event: Literal["enter_chat", "template_card_event", "feedback_event"]
    data: dict[str, Any] = Field(default_factory=dict)


class Restart(Body):
    """How long the platform is gone."""

    away_s: Annotated[float, Field(ge=0, le=120)] = 0.0


def socket_blueprint(server: SocketServer) -> Blueprint:
    """What is seen stands with the app's, under `/playground/seen`."""
    routes = Blueprint("bot_socket", __name__, url_prefix="/playground/bot_socket")
    refuse_bad_bodies(routes)
    bot = server.bot

    @routes.post("/messages")
    def messages() -> Response:
        body = SocketWritten.model_validate(request.get_json())
        written = Written(**body.model_dump(exclude={"copies", "data"}))
        data = base64.b64decode(body.data)
        return jsonify(msg_id=bot.write(written, data, body.copies))

    @routes.post("/events")
    def events() -> Response:
        body = SocketEvent.model_validate(request.get_json())
        return jsonify(msg_id=bot.happen(body.user, body.event, body.data))

    _add_tester(routes, server, bot)
    return routes


def _add_tester(routes: Blueprint, server: SocketServer, bot: BotSocket) -> None:
    @routes.get("/state")
    def state() -> Response:
        opened, subscribed = bot.connections()
        return jsonify(open=opened, subscribed=subscribed, counts=dict(bot.counts))

    @routes.post("/cut")
    def cut() -> Response:
        return jsonify(cut=bot.cut())

    @routes.post("/restart")
    def restart() -> Response:
        server.restart(Restart.model_validate(request.get_json()).away_s)
        return jsonify(ok=True)

    @routes.post("/script")
    def script() -> Response:
        bot.faults.add(FAULT.validate_python(request.get_json()))
        return jsonify(ok=True)

    @routes.delete("/script")
    def clear_script() -> Response:
        bot.faults.clear()
        return jsonify(ok=True)
