"""The phone's server: the page, and the few calls that it makes. Keys stay here, the browser never sees one."""

from pathlib import Path
from typing import Any

import httpx
from flask import Flask, Response, jsonify, request, send_from_directory

from playground.wechat.routes import LONGEST_WAIT_S, Platform

PAGE = Path(__file__).parent / "phone"
TEXT_LIMIT = 2000


def create_app(platform: Platform, config: dict[str, Any]) -> Flask:
    """The page at `/`, its data below `/api`."""
    app = Flask("playground.phone", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    timelines = Timelines(platform, config.get("timeline_url", ""), config.get("timeline_key", ""))
    users = list(config.get("users", []))

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.get("/")
    def page() -> Response:
        return send_from_directory(PAGE, "index.html")

    @app.get("/<name>")
    def part(name: str) -> Response:
        return send_from_directory(PAGE, name)

    @app.get("/api/start")
    def start() -> Response:
        return jsonify(users=users, suggestions=config.get("suggestions", []))

    @app.get("/api/chat")
    def chat() -> Response:
        wait_s = min(request.args.get("wait_s", 0.0, float), LONGEST_WAIT_S)
        after = request.args.get("after", 0, int)
        user = request.args["user"]
        return jsonify(entries=platform.ledger.seen(user, after=after, wait_s=wait_s, own=True))

    @app.post("/api/messages")
    def write() -> tuple[Response, int] | Response:
        body = request.get_json()
        text, user = str(body.get("text", "")).strip()[:TEXT_LIMIT], str(body.get("user", ""))
        if not text or user not in users:
            return jsonify(error="Write something as one of the users."), 400
        return jsonify(msg_id=platform.write(user, text))

    @app.get("/api/messages/<msg_id>")
    def life(msg_id: str) -> Response:
        return jsonify(timelines.of(msg_id))

    return app


class Timelines:
    """What happened behind a message: the simulator's deliveries and the tool server's ledger, in one list."""

    def __init__(self, platform: Platform, url: str, key: str) -> None:
        self._platform = platform
        self._url = url
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"}, timeout=5, trust_env=False
        )

    def of(self, msg_id: str) -> dict[str, Any]:
        """Both, with the tool server's part empty where it does not know the message (yet)."""
        server: dict[str, Any] = {}
        if self._url and msg_id.isdigit():
            try:
                answer = self._http.get(self._url.replace("{msg_id}", msg_id))
                server = answer.json() if answer.status_code == 200 else {}
            except (httpx.HTTPError, ValueError):
                server = {}
        return {"deliveries": self._platform.ledger.deliveries(msg_id), "server": server}
