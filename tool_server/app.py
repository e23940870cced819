"""The whole HTTP surface on one page: `create_app(settings)` wires model, knowledge and channel together."""

from typing import Any

from flask import Flask, Response, jsonify, request
from flask.json.provider import DefaultJSONProvider

import tool_server.channel.page_routes
import tool_server.channel.reply_routes
import tool_server.channel.routes
import tool_server.channel.status_routes
import tool_server.channel.verify_file
import tool_server.health
import tool_server.knowledge.surface
import tool_server.metrics
import tool_server.model.surface
import tool_server.pictures.routes
from tool_server.auth import Keys
from tool_server.channel.replies import IsSource, no_source
from tool_server.channel.services import Services
from tool_server.errors import ApiError
from tool_server.limits import Limits
from tool_server.model.moderation.guard import Guard
from tool_server.rim import register_errors
from tool_server.settings import Settings

# The largest body of any route; routes with less to read set their own limit.
BODY_LIMIT = 8 * 1024 * 1024


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
    app.register_blueprint(tool_server.pictures.routes.blueprint(settings, keys, registry))
    is_source: IsSource = no_source
    if settings.knowledge_enabled:
        is_source = tool_server.knowledge.surface.register(
            app, settings, keys, registry, channel.resolve_ticket, channel.note_given
        )
    if settings.channel_enabled:
        app.register_blueprint(tool_server.channel.routes.blueprint(channel, keys))
        app.register_blueprint(tool_server.channel.reply_routes.blueprint(channel, keys, is_source))
        app.register_blueprint(tool_server.channel.page_routes.blueprint(channel))
        app.register_blueprint(tool_server.channel.status_routes.blueprint(channel, keys))
        app.register_blueprint(tool_server.channel.verify_file.blueprint(channel.accounts))
    register_errors(app, _render)
    return app


def _render(error: ApiError) -> tuple[Response, int]:
    """One error shape per surface: OpenAI's below `/v1`, ours elsewhere; some blueprints have one of their own."""
    body = error.openai() if request.path.startswith("/v1") else error.plain()
    response = jsonify(body)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response, error.status
