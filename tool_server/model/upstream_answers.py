"""What an upstream's HTTP status and error objects mean: ask another, or the client is at fault."""

import json
import re
from collections.abc import Sequence

import httpx

from tool_server.errors import BadRequest
from tool_server.model.upstream_stream import BadStream, UpstreamError, read_error

# An error's body is read up to here, and told to the client up to there.
BODY_LIMIT = 64 * 1024
MESSAGE_LIMIT = 300
BUSY_S = 1.0
# Too much to do, or a fault that may be the request's own: it rests for a moment, its circuit stays as it is.
RESTING = (404, 429, 500, 503)
KEY_REFUSED = (401, 403)
CONTEXT = "context_length_exceeded"
TOO_LONG = re.compile(r"context (length|window)|maximum.{0,20}(tokens|length)|too long", re.I)


class Moved(Exception):
    """This upstream did not answer; another one may. With `rest_s` its health is not in doubt."""

    def __init__(self, reason: str, *, rest_s: float | None = None, busy: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rest_s = rest_s
        self.busy = busy


async def read_status(response: httpx.Response) -> None:
    """Raises `Moved` or `UpstreamError` for everything but a 200 that may hold an answer."""
    status = response.status_code
    if status == httpx.codes.OK:
        if "html" in response.headers.get("content-type", ""):
            raise BadStream("this is HTML")
        return
    if status in RESTING:
        rest_s = read_retry_after(response.headers.get("retry-after", ""))
        raise Moved(f"status {status}", rest_s=rest_s, busy=status == httpx.codes.TOO_MANY_REQUESTS)
    if status in KEY_REFUSED:
        raise Moved(f"status {status}: SHENQIAO_MODEL_UPSTREAM_KEY is refused")
    if httpx.codes.is_client_error(status) and status != httpx.codes.REQUEST_TIMEOUT:
        raise read_body(status, await _body(response))
    raise Moved(f"status {status}")


def read_retry_after(text: str) -> float:
    """Seconds; a date, or nothing, is one second."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return BUSY_S


def read_body(status: int, body: bytes) -> UpstreamError:
    """The error of a refusal, whether it is JSON or not."""
    try:
        fields = json.loads(body)
    except ValueError:
        return UpstreamError(status, "")
    error = fields.get("error", fields) if isinstance(fields, dict) else str(fields)
    return read_error(error, status)


def refuse(error: UpstreamError, hidden: Sequence[str]) -> Moved | BadRequest:
    """An error before the first token: the client's own fault, or a reason to ask elsewhere."""
    if not httpx.codes.is_client_error(error.status):
        return Moved(f"error {error.status}")
    if error.status == httpx.codes.TOO_MANY_REQUESTS:
        return Moved("error 429", rest_s=BUSY_S, busy=True)
    message = " ".join(error.message.split())[:MESSAGE_LIMIT] or "it gives no reason"
    for secret in hidden:
        message = message.replace(secret, "…")
    too_long = error.code == CONTEXT or TOO_LONG.search(message) is not None
    return BadRequest(
        f"The engine refuses this request: {message}", code=CONTEXT if too_long else None
    )


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > BODY_LIMIT:
            break
    return body
