"""Passing a callback of the WeChat platform on to the tool server; called by the endpoints of `/callback`.

Whatever goes wrong is a 503: the platform then delivers again. An empty 200 would tell it that we have the message,
and an exception's text would reach whoever called.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from dify_plugin.config.logger_format import plugin_logger_handler
from werkzeug import Request, Response

from dify_plugin.door import Door
from dify_plugin.server import ServerError, ask

log = logging.getLogger(__name__)
# The daemon's log; any other line on stdout would break the protocol.
log.addHandler(plugin_logger_handler)

# The platform cuts at 5.0 s.
DEADLINE_S = 4.7
# The most that the tool server's own limit (SHENQIAO_CHANNEL_BODY_LIMIT) can be.
BODY_LIMIT = 1024 * 1024
HEADER = "X-Shenqiao-Relay"
# The tool server's own mark: without it an answer is another server's, neither shown nor an acknowledgement.
MARK = "X-Shenqiao"
# All that may stand in a query as it is; the rest cannot be sent raw and means the same in its quoted form.
AS_IT_IS = "%!$&'()*+,-./:;=?@[]^_`{|}~"


def relay(request: Request, settings: Mapping[str, Any]) -> Response:
    """The tool server's answer, or a 503 without a body."""
    return guarded(lambda: _relay(request, Door.of(settings)))


def guarded(answer: Callable[[], Response]) -> Response:
    """What `answer` gives, or a 503 without a body: the SDK would write an exception's text into the answer."""
    try:
        return answer()
    except ServerError as error:
        log.warning("A request was answered 503: %s", error)
    except Exception as error:  # the rim
        log.error("A request was answered 503: %s", type(error).__name__)
    return Response(status=503)


def _relay(request: Request, door: Door) -> Response:
    if not door.account:
        return Response(status=403)
    body = request.get_data(cache=False)
    if len(body) > BODY_LIMIT:
        return Response(status=413)
    headers = {HEADER: "dify"}
    if request.content_type:
        headers["Content-Type"] = request.content_type
    answer = ask(
        request.method,
        f"{door.url}/channel/{door.account}/callback?{query_of(request)}",
        deadline_s=DEADLINE_S,
        content=body,
        headers=headers,
    )
    if answer.status >= 400:  # the platform reads no body of these, and it may be anybody's
        return Response(status=answer.status)
    if MARK not in answer.headers:
        raise ServerError("What answers at the URL is not the tool server.")
    content_type = answer.content_type or "text/plain"
    return Response(answer.body, status=answer.status, content_type=content_type)


def query_of(request: Request) -> str:
    """The query as it came."""
    return quote(request.query_string, safe=AS_IT_IS)
