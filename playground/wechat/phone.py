"""The phone's server: the page, and the few calls that it makes. Keys stay here, the browser never sees one."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import httpx
from flask import Blueprint, Flask, Response, jsonify, request, send_from_directory
from pydantic import StringConstraints

from playground.wechat.bot.bot import InInteraction
from playground.wechat.bot.message import BotMessage, Written
from playground.wechat.config import Config
from playground.wechat.control import Body, Look, refuse_bad_bodies
from playground.wechat.deliver import Busy
from playground.wechat.message import Message
from playground.wechat.platform import Platform

PAGE = Path(__file__).parent / "phone"
TEXT_LIMIT = 2000
TIMELINE_S = 5.0
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Typed(Body):
    """What somebody typed on the phone."""

    user: str
    surface: Literal["app", "bot"] = "app"
    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_LIMIT)
    ]


def create_app(platform: Platform, config: Config) -> Flask:
    """The page at `/`, its data below `/api`."""
    app = Flask("playground.phone", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    app.register_blueprint(_data(platform, config))

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @app.get("/")
    def page() -> Response:
        return send_from_directory(PAGE, "index.html")

    @app.get("/<name>")
    def part(name: str) -> Response:
        return send_from_directory(PAGE, name)

    return app


def _data(platform: Platform, config: Config) -> Blueprint:
    routes = Blueprint("data", __name__, url_prefix="/api")
    refuse_bad_bodies(routes)
    timelines = Timelines(platform, config)

    @routes.get("/start")
    def start() -> Response:
        surfaces = ["app", "bot"] if platform.bot else ["app"]
        return jsonify(users=config.users, suggestions=config.suggestions, surfaces=surfaces)

    @routes.get("/chat")
    def chat() -> Response:
        look = Look.model_validate(request.args.to_dict())
        found = platform.ledger.seen(look.user, after=look.after, wait_s=look.wait_s, own=True)
        return jsonify(entries=found)

    @routes.post("/messages")
    def write() -> tuple[Response, int] | Response:
        typed = Typed.model_validate(request.get_json())
        if typed.user not in config.users:
            return jsonify(error="user: nobody has this phone"), 400
        try:
            return jsonify(msg_id=_send(platform, typed))
        except (Busy, InInteraction):
            return jsonify(error="too many messages are on their way"), 429

    @routes.get("/messages/<path:msg_id>")
    def life(msg_id: str) -> tuple[Response, int] | Response:
        found = timelines.of(msg_id)
        return jsonify(found) if found else (jsonify(error="msg_id: no such message"), 404)

    return routes


def _send(platform: Platform, typed: Typed) -> str:
    if typed.surface == "bot" and platform.bot:
        return platform.bot.write(Written(typed.user, typed.text))
    return platform.write(typed.user, typed.text)


class Timelines:
    """What happened behind a message: the platform's deliveries and bubbles, and the tool server's ledger."""

    def __init__(self, platform: Platform, config: Config) -> None:
        self._platform = platform
        self._url = config.timeline_url
        self._bot_url = config.bot.timeline_url if config.bot else ""
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {config.timeline_key}"},
            timeout=TIMELINE_S,
            trust_env=False,
        )

    def of(self, msg_id: str) -> dict[str, Any] | None:
        """All of it, with the tool server's part empty where it does not know the message (yet)."""
        message = self._message(msg_id)
        if message is None:
            return None
        url = self._url if isinstance(message, Message) else self._bot_url
        server = self._server_part(url, msg_id)
        return {
            "message": asdict(message),
            "deliveries": self._platform.ledger.deliveries(msg_id),
            "shown": self._shown(message.user, msg_id, server),
            "server": server,
            "behind": bool(url),
        }

    def _message(self, msg_id: str) -> Message | BotMessage | None:
        bot = self._platform.bot
        return self._platform.message(msg_id) or (bot.message(msg_id) if bot else None)

    def _server_part(self, url: str, msg_id: str) -> dict[str, Any]:
        if not url:
            return {}
        try:
            answer = self._http.get(url.replace("{msg_id}", quote(msg_id, safe="")))
            body = answer.json() if answer.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            return {}
        return body if isinstance(body, dict) else {}

    def _shown(self, user: str, msg_id: str, server: dict[str, Any]) -> list[dict[str, Any]]:
        """The message's own bubble and those of its answer; a push is known by the id that the platform gave it."""
        events = server.get("events", [])
        pushed = {event["data"].get("platform_id") for event in events} - {None, ""}
        bubbles = self._platform.ledger.seen(user, own=True)
        return [b for b in bubbles if b["msg_id"] == msg_id or b["push_id"] in pushed]
