"""Passing a callback of the WeChat platform on to the tool server; called by both endpoints.

Whatever goes wrong is a 503: the platform then delivers again. An empty 200 would tell it that we have the message.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

import httpx
from werkzeug import Request, Response

from dify_plugin.server import client

# The platform cuts at 5.0 s.
DEADLINE_S = 4.7
BODY_LIMIT = 64 * 1024
ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
HEADER = "X-Shenqiao-Relay"
DEFAULT_URL = "http://127.0.0.1:8000"


def relay(request: Request, settings: Mapping[str, Any]) -> Response:
    """The tool server's answer, or a 503 without a body."""
    started = time.monotonic()
    account = str(settings.get("account") or "")
    if not ACCOUNT.fullmatch(account):
        return Response(status=403)
    body = request.get_data(cache=False)
    if len(body) > BODY_LIMIT:
        return Response(status=413)
    url = str(settings.get("server_url") or DEFAULT_URL).rstrip("/")
    query = request.query_string.decode("latin-1")
    try:
        answer = client().request(
            request.method,
            f"{url}/channel/{account}/callback?{query}",
            content=body,
            headers={"Content-Type": request.content_type or "text/xml", HEADER: "dify"},
            timeout=DEADLINE_S - (time.monotonic() - started),
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return Response(status=503)
    content_type = answer.headers.get("Content-Type", "text/plain")
    return Response(answer.content, status=answer.status_code, content_type=content_type)
