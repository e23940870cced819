"""What is wrong with a tool server's address, as far as it can be told; used by `served` and `openai_wire`.

Package A says the same of its own form: the two are installed apart and cannot share a file.
"""

from __future__ import annotations

import re
import ssl

import httpx
from dify_plugin.errors.model import InvokeBadRequestError

HTTP_ONLY = "This address speaks http and not https: write the URL with http://."
HTTPS_ONLY = "This address speaks https and not http: write the URL with https://."
UNTRUSTED = (
    "The certificate of this https address is not trusted by Dify's plugin daemon: use one of a "
    "known authority, or the http address inside your network."
)
NO_SCHEME = "Begin the URL with http:// or https://, like http://shenqiao.example:8000."
NO_HOST = "The URL names no host: write it like http://shenqiao.example:8000."
WITH_PATH = "Leave out what stands behind the host in the URL: only http://host:port is needed."
# What h11 says of an answer that begins with no line of HTTP.
ILLEGAL = re.compile("illegal (status|request) line")
PLAIN_TO_TLS = re.compile(
    rb"plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS", re.I
)


def check(url: str) -> None:
    """Whether this can be the address of a tool server. Raises `InvokeBadRequestError`."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise InvokeBadRequestError(NO_HOST) from None
    if parts.scheme not in ("http", "https"):
        raise InvokeBadRequestError(NO_SCHEME)
    if not parts.host:
        raise InvokeBadRequestError(NO_HOST)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise InvokeBadRequestError(WITH_PATH)


def fault_of(error: Exception) -> str:
    """What a failed connection says about the address; empty where it says nothing."""
    reason = _ssl_reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return UNTRUSTED
    if reason:
        return HTTP_ONLY
    return HTTPS_ONLY if ILLEGAL.search(str(error)) else ""  # it answered in TLS


def fault_in(status: int, body: bytes) -> str:
    """What an answer says about the address."""
    return HTTPS_ONLY if status == 400 and PLAIN_TO_TLS.search(body) else ""


def _ssl_reason(error: BaseException | None) -> str:
    """What TLS said, wherever it stands among the causes."""
    while error is not None:
        if isinstance(error, ssl.SSLError) or "SSL" in str(error):
            return str(error)
        error = error.__cause__ or error.__context__
    return ""
