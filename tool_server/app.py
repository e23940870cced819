"""The whole HTTP surface on one page: `create_app(settings)` wires model, knowledge and channel together."""

from typing import Any

import structlog
from flask import Flask, Response, jsonify, request
from flask.json.provider import DefaultJSONProvider
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

import tool_server.channel.routes
import tool_server.health
import tool_server.knowledge.routes
import tool_server.metrics
import tool_server.model.surface
from tool_server.auth import Keys
from tool_server.channel.services import Services
from tool_server.errors import ApiError, BadRequest
from tool_server.limits import Limits
from tool_server.model.moderation.guard import Guard
from tool_server.settings import Settings

log = structlog.get_logger()

# The largest body of any route; routes with less to read set their own limit.
BODY_LIMIT = 8 * 1024 * 1024


class InternalError(ApiError):
    """What a caller sees of a fault of ours."""


class Json(DefaultJSONProvider):
    """JSON that is nested without end is a caller's mistake, not a fault of ours."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("nested too deeply") from None


class Application(Flask):
    json_provider_class = Json


def create_app(settings: Settings, guard: Guard | None = None) -> Flask:
    """The web process's application; no work is done before the first request but reading keys."""
    app = Application("tool_server", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # DefaultJSONProvider has it
    registry = tool_server.metrics.build_registry(settings.run_dir)
    keys = Keys.load(settings, registry)
    limits = Limits(registry)
    app.after_request(limits.show)
    channel = app.extensions["channel"] = Services.open(settings, registry)
    model = None
    if settings.model_enabled:
        model = tool_server.model.surface.register(app, settings, keys, limits, registry, guard)
    app.register_blueprint(tool_server.health.blueprint(settings, registry, model))
    if settings.knowledge_enabled:
        app.register_blueprint(
            tool_server.knowledge.routes.blueprint(settings, keys, registry, channel.resolve_ticket)
        )
    if settings.channel_enabled:
        app.register_blueprint(tool_server.channel.routes.blueprint(channel, keys))
    _register_errors(app)
    return app


def _register_errors(app: Flask) -> None:
    """One error shape per surface: OpenAI's below `/v1`, ours elsewhere; never an exception's own text."""

    @app.errorhandler(ApiError)
    def known(error: ApiError) -> tuple[Response, int]:
        return _render(error)

    @app.errorhandler(ValidationError)
    def invalid(error: ValidationError) -> tuple[Response, int]:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        return _render(BadRequest(f"{field}: {first['msg']}", param=field))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> tuple[Response, int]:
        wrapped = ApiError(
            error.description or error.name, code=error.name.lower().replace(" ", "_")
        )
        wrapped.status = error.code or 500
        return _render(wrapped)

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> tuple[Response, int]:
        log.error("http.fault", route=request.path, exc_info=error)
        return _render(InternalError("The tool server could not do this; its log says why."))


def _render(error: ApiError) -> tuple[Response, int]:
    body = error.openai() if request.path.startswith("/v1") else error.plain()
    response = jsonify(body)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response, error.status
