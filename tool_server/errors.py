"""The tool server's error tree; raised where a fault happens, turned into JSON once, at the rim (`app.py`).

ApiError
├── BadRequest 400      the caller must change the request
├── Unauthorized 401    no key, or an unknown one
├── Forbidden 403       a key without the right, a bad signature
├── NotFound 404
├── TooLarge 413
├── Busy 429            full: come back after `retry_after` seconds
│   └── RateLimited     this key's own limit, not the server's
└── Unavailable 503     something this server needs is away
"""

from typing import Any


class ApiError(Exception):
    """A fault with its HTTP status, its code for programs and a sentence for people."""

    status = 500
    code = "internal_error"
    retry = False
    kind: str | None = None  # OpenAI's `type`, where the status does not say it

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.retry_after = retry_after

    def openai(self) -> dict[str, Any]:
        """The error object that OpenAI's clients and Dify read."""
        kind = self.kind or ("invalid_request_error" if self.status < 429 else "server_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def plain(self) -> dict[str, Any]:
        """The error object of every route outside `/v1`."""
        return {"error": {"code": self.code, "message": self.message, "field": self.param}}


class BadRequest(ApiError):
    status = 400
    code = "bad_request"


class Unauthorized(ApiError):
    status = 401
    code = "unauthorized"


class Forbidden(ApiError):
    status = 403
    code = "forbidden"


class NotFound(ApiError):
    status = 404
    code = "not_found"


class TooLarge(ApiError):
    status = 413
    code = "too_large"


class Busy(ApiError):
    status = 429
    code = "busy"
    retry = True


class RateLimited(Busy):
    """A limit of the caller's key; the message names it."""

    code = "rate_limit_exceeded"
    kind = "rate_limit_error"


class Unavailable(ApiError):
    status = 503
    code = "unavailable"
    retry = True
