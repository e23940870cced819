"""Passing the tool server's pages on to browsers: whole answers, the return from signing in, the status page.

A browser sends this host's cookies along, Dify's own among them: only ours go on. What a page may do, and for how
long it is kept, say its headers: they come back with it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from werkzeug import Request, Response

from dify_plugin.door import Door, has_path, mistake
from dify_plugin.relay import MARK, guarded, query_of, relay
from dify_plugin.server import Answer, ServerError, ask
from dify_plugin.status_words import explain

PAGE_S = 10.0
# Its checks wait for WeCom and for Dify.
STATUS_S = 40.0
FORM_LIMIT = 4096
DOOR_HEADER = "X-Shenqiao-Door"
COOKIE = "shenqiao-"
ASKED = ("Accept-Language", "Content-Type")
TOLD = (
    "Cache-Control",
    "Content-Security-Policy",
    "Location",
    "Referrer-Policy",
    "Retry-After",
    "Set-Cookie",
    "X-Content-Type-Options",
    "X-Robots-Tag",
)


def status(request: Request, settings: Mapping[str, Any]) -> Response:
    """The status page; where the tool server has none to show, a page that says what is wrong with the form."""
    return guarded(lambda: _status(request, settings))


def rest(request: Request, path: str, settings: Mapping[str, Any]) -> Response:
    """Every other path below the endpoint; one that is none of ours is an empty 404."""
    known = path.rstrip("/")
    if request.method in ("GET", "POST") and known == "callback":
        return relay(request, settings)
    if request.method != "GET":
        return Response(status=404)
    first, _, secret = known.partition("/")
    if known == "login" or (first == "answers" and secret and "/" not in secret):
        return guarded(lambda: _passed_on(request, settings, f"/channel/{known}"))
    if known.startswith("WW_verify_") and "/" not in known:
        return guarded(lambda: _verified(request, settings, f"/{known}"))
    if known == "status":  # with a slash at its end: what is beside the page would be below it
        return Response(status=302, headers={"Location": "../status"})
    return Response(status=404)


def _passed_on(request: Request, settings: Mapping[str, Any], path: str) -> Response:
    answer = _ask(request, Door.of(settings), path, PAGE_S)
    return _response(answer) if MARK in answer.headers else Response(status=503)


def _verified(request: Request, settings: Mapping[str, Any], path: str) -> Response:
    """The file by which WeCom knows a trusted domain: it holds what stands in its name."""
    answer = _ask(request, Door.of(settings), path, PAGE_S)
    if answer.status == 200 and path == f"/WW_verify_{answer.body.decode('latin-1')}.txt":
        return Response(answer.body, content_type="text/plain")
    return Response(status=404)


def _status(request: Request, settings: Mapping[str, Any]) -> Response:
    if word := mistake(settings):
        return explain(request, word)
    door = Door.of(settings)
    try:
        answer = _ask(request, door, f"/channel/{door.account}/status", STATUS_S)
    except ServerError:
        return explain(request, "away")
    if MARK in answer.headers:
        return _response(answer)
    return explain(request, "path" if has_path(settings) else "other")


def _ask(request: Request, door: Door, path: str, deadline_s: float) -> Answer:
    headers = {name: request.headers[name] for name in ASKED if name in request.headers}
    if cookies := _cookies(request):
        headers["Cookie"] = cookies
    if address := _door_address(request):
        headers[DOOR_HEADER] = address
    body = request.get_data(cache=False)[:FORM_LIMIT] if request.method == "POST" else b""
    url = f"{door.url}{quote(path)}?{query_of(request)}"
    return ask(request.method, url, deadline_s=deadline_s, content=body, headers=headers)


def _response(answer: Answer) -> Response:
    response = Response(answer.body, status=answer.status, content_type=answer.content_type)
    for name in TOLD:
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    return response


def _cookies(request: Request) -> str:
    """Ours alone: whoever runs the tool server is not to get the browser's session with Dify."""
    ours = (f"{name}={value}" for name, value in request.cookies.items() if name.startswith(COOKIE))
    return "; ".join(ours)


def _door_address(request: Request) -> str:
    """The endpoint's public address, as the daemon tells it with the request's path at its end."""
    return request.headers.get("Dify-Hook-Url", "").removesuffix(request.path)
