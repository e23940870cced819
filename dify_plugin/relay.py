"""Passing a callback of the WeChat platform on to the tool server; called by both endpoints.

Whatever goes wrong is a 503: the platform then delivers again. An empty 200 would tell it that we have the message,
and an exception's text would reach whoever called.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from dify_plugin.config.logger_format import plugin_logger_handler
from werkzeug import Request, Response

from dify_plugin.server import ServerError, ask

log = logging.getLogger(__name__)
# The daemon's log; any other line on stdout would break the protocol.
log.addHandler(plugin_logger_handler)

# The platform cuts at 5.0 s.
DEADLINE_S = 4.7
BODY_LIMIT = 64 * 1024
ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
HEADER = "X-Shenqiao-Relay"
DEFAULT_URL = "http://127.0.0.1:8000"
# All that may stand in a query as it is; the rest cannot be sent raw and means the same in its quoted form.
AS_IT_IS = "%!$&'()*+,-./:;=?@[]^_`{|}~"


def relay(request: Request, settings: Mapping[str, Any]) -> Response:
    """The tool server's answer, or a 503 without a body."""
    try:
        return _relay(request, settings)
    except ServerError as error:
        log.warning("A callback was answered 503: %s", error)
    except Exception as error:  # the rim: the SDK would write the exception's text into the answer
        log.error("A callback was answered 503: %s", type(error).__name__)
    return Response(status=503)


def _relay(request: Request, settings: Mapping[str, Any]) -> Response:
    account = str(settings.get("account") or "")
    if not ACCOUNT.fullmatch(account):
        return Response(status=403)
    body = request.get_data(cache=False)
    if len(body) > BODY_LIMIT:
        return Response(status=413)
    url = str(settings.get("server_url") or DEFAULT_URL).strip().rstrip("/")
    query = quote(request.query_string, safe=AS_IT_IS)
    headers = {HEADER: "dify"}
    if request.content_type:
        headers["Content-Type"] = request.content_type
    answer = ask(
        request.method,
        f"{url}/channel/{account}/callback?{query}",
        deadline_s=DEADLINE_S,
        content=body,
        headers=headers,
    )
    content_type = answer.content_type or "text/plain"
    return Response(answer.body, status=answer.status, content_type=content_type)
