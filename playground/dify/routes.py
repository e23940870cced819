"""The rest of the stand-in's HTTP surface: the daemon's public endpoint route, and the playground's own."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request

from playground.dify.packages import Packages
from playground.dify.plugin import PluginError
from playground.dify.runs import Runs

# The daemon cuts a longer body without a word.
BODY_LIMIT = 10 * 1024 * 1024
# What the daemon takes out before a plugin sees a request, and what is set anew.
REMOVED = {
    "x-forwarded-for",
    "x-real-ip",
    "x-forwarded-host",
    "content-length",
    "host",
    "connection",
}


def endpoint_blueprint(packages: Packages, hook: str, settings: Mapping[str, Any]) -> Blueprint:
    """`/e/<hook>/…`: an HTTP request becomes one session of package A, which ends with the answer."""
    routes = Blueprint("endpoint", __name__)

    @routes.route(
        "/e/<name>/<path:path>", methods=["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
    )
    def endpoint(name: str, path: str) -> Response:
        if name != hook:
            return Response("endpoint not found", status=404)
        raw = _raw_request(path, hook)
        try:
            answers = packages.invoke_endpoint(raw, settings)
            head = next(answers)
            body = b"".join(
                bytes.fromhex(part["result"]) for part in (head, *answers) if part.get("result")
            )
        except PluginError as error:
            return Response(str(error), status=500)
        headers = {k: v for k, v in head["headers"].items() if k.lower() != "content-length"}
        return Response(body, status=head["status"], headers=headers)

    return routes


def control_blueprint(runs: Runs) -> Blueprint:
    """`/playground/…`: what a real Dify shows in its log pages, and a switch for slow runs."""
    routes = Blueprint("control", __name__, url_prefix="/playground")

    @routes.get("/runs")
    def newest() -> Response:
        return jsonify(runs=runs.newest())

    @routes.post("/slow")
    def slow() -> Response:
        body = request.get_json()
        runs.make_slow(float(body["seconds"]), int(body["runs"]))
        return jsonify(ok=True)

    @routes.post("/reset")
    def reset() -> Response:
        runs.forget()
        return jsonify(ok=True)

    return routes


def _raw_request(path: str, hook: str) -> bytes:
    """The request as text, as the daemon writes it for the plugin."""
    query = request.query_string.decode("latin-1")
    body = request.get_data()[:BODY_LIMIT]
    headers = {name: value for name, value in request.headers if name.lower() not in REMOVED}
    headers |= {
        "Host": request.host,
        "Content-Length": str(len(body)),
        "Dify-Hook-Id": hook,
        "Dify-Hook-Url": f"{request.host_url}e/{hook}",
    }
    target = f"/{path}?{query}" if query else f"/{path}"
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body
