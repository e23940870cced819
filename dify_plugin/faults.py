"""What can go wrong between package A and the tool server, as sentences without addresses; raised by `server`."""

from __future__ import annotations

import re
import ssl

import httpx
from pydantic import ValidationError

from dify_plugin.shapes import Fault, Refusal

AWAY = "The tool server cannot be reached: check the URL and that it runs."
LATE = "The tool server did not answer in time."
HTTP_ONLY = "This address speaks http and not https: write the URL with http://."
HTTPS_ONLY = "This address speaks https and not http: write the URL with https://."
UNTRUSTED = (
    "The certificate of this https address is not trusted by Dify's plugin daemon: use one of a "
    "known authority, or the http address inside your network."
)
ELSEWHERE = "This address leads on to another one: enter the URL where it ends."
NO_KNOWLEDGE = (
    "There is no knowledge at this address: check the URL, "
    "and that knowledge is switched on in the tool server."
)
NO_PICTURES = "This tool server cannot draw pictures: it is older than this plugin."
NO_CHANNEL = "This tool server has no WeChat channel, or is older than this plugin."
NO_MODEL = "This tool server has no model: use one of your own models in Dify instead."
WRONG_KEY = "The tool server does not know this key: copy it from keys.json again."
WRONG_SCOPE = (
    'This key does not open knowledge: enter the one named "tools" of keys.json, '
    'or another with the scope "knowledge".'
)
NO_MODEL_SCOPE = (
    'This key does not open the model: enter the one named "tools" of keys.json, or make one with '
    '"shenqiao key add NAME --scope knowledge --scope model".'
)
NO_SCHEME = "Begin the URL with http:// or https://, like http://shenqiao.example:8000."
NO_HOST = "The URL names no host: write it like http://shenqiao.example:8000."
WITH_PATH = "Leave out what stands behind the host in the URL: only http://host:port is needed."
# What h11 says of an answer that begins with no line of HTTP.
ILLEGAL = re.compile("illegal (status|request) line")
PLAIN_TO_TLS = re.compile(
    rb"plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS", re.I
)


class ServerError(Exception):
    """The tool server did not do it; a sentence for the administrator or the workflow's log, without addresses."""


def check_url(url: str) -> None:
    """Whether this can be the address of a tool server. Raises `ServerError`."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise ServerError(NO_HOST) from None
    if parts.scheme not in ("http", "https"):
        raise ServerError(NO_SCHEME)
    if not parts.host:
        raise ServerError(NO_HOST)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ServerError(WITH_PATH)


def of_connection(error: Exception, url: str) -> ServerError:
    """Why nothing came back, as far as it can be told."""
    if isinstance(error, httpx.TimeoutException):
        return ServerError(LATE)
    reason = _ssl_reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return ServerError(UNTRUSTED)
    if reason:
        return ServerError(HTTP_ONLY)
    if url.startswith("http:") and ILLEGAL.search(str(error)):  # it answered in TLS
        return ServerError(HTTPS_ONLY)
    return ServerError(AWAY)


def of_answer(status: int, body: bytes, *, elsewhere: str = NO_KNOWLEDGE) -> ServerError:
    """The sentence for an answer that is not 200; `elsewhere` says what is missing where the route is not there."""
    if status == 401:
        return ServerError(WRONG_KEY)
    if status == 400 and PLAIN_TO_TLS.search(body):
        return ServerError(HTTPS_ONLY)
    if 300 <= status < 400:
        return ServerError(ELSEWHERE)
    fault = _fault(body)
    if status == 403:
        return ServerError(_forbidden(fault))
    if fault is None:
        return ServerError(AWAY if status >= 500 else elsewhere)
    if status == 404 and not (fault.field or fault.param):
        return ServerError(elsewhere)
    return ServerError(f"The tool server refused: {fault.message}")


def _forbidden(fault: Fault | None) -> str:
    message = fault.message if fault else ""
    if "may not use the model" in message:
        return f"The tool server refused: {message}"
    return NO_MODEL_SCOPE if "open model" in message else WRONG_SCOPE


def _fault(body: bytes) -> Fault | None:
    """The tool server's own error; something else in between may have answered."""
    try:
        return Refusal.model_validate_json(body).error
    except ValidationError:
        return None


def _ssl_reason(error: BaseException | None) -> str:
    """What TLS said, wherever it stands among the causes."""
    while error is not None:
        if isinstance(error, ssl.SSLError) or "SSL" in str(error):
            return str(error)
        error = error.__cause__ or error.__context__
    return ""
