"""Where every fault becomes an answer, once: `app` for the whole surface, a blueprint for an error shape of its own."""

from collections.abc import Callable

import structlog
from flask import Blueprint, Flask, request
from flask.typing import ResponseReturnValue
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from tool_server.errors import ApiError, BadRequest

log = structlog.get_logger()


class InternalError(ApiError):
    """What a caller sees of a fault of ours."""


def register_errors(
    scaffold: Flask | Blueprint, render: Callable[[ApiError], ResponseReturnValue]
) -> None:
    """Each fault below `scaffold` as an `ApiError` through `render`; never an exception's own text."""

    @scaffold.errorhandler(ApiError)
    def known(error: ApiError) -> ResponseReturnValue:
        return render(error)

    @scaffold.errorhandler(ValidationError)
    def invalid(error: ValidationError) -> ResponseReturnValue:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        return render(BadRequest(f"{field}: {first['msg']}", param=field))

    @scaffold.errorhandler(HTTPException)
    def http(error: HTTPException) -> ResponseReturnValue:
        wrapped = ApiError(
            error.description or error.name, code=error.name.lower().replace(" ", "_")
        )
        wrapped.status = error.code or 500
        return render(wrapped)

    @scaffold.errorhandler(Exception)
    def unknown(error: Exception) -> ResponseReturnValue:
        log.error("http.fault", route=request.path, exc_info=error)
        return render(InternalError("The tool server could not do this; its log says why."))
