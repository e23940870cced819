"""Everything below `/v1`, wired together: the backend, what checks its answers, the models beside it; for `app`."""

from typing import Any

from flask import Flask
from prometheus_client import CollectorRegistry

import tool_server.model.aux.routes
import tool_server.model.moderation.routes
import tool_server.model.routes
from tool_server.auth import Keys
from tool_server.limits import Limits
from tool_server.model.aux.guard_client import Guard as AuxGuard
from tool_server.model.aux.served import served_models
from tool_server.model.backend import Backend
from tool_server.model.local import LocalBackend
from tool_server.model.moderation.guard import Guard
from tool_server.model.moderation.service import Moderation
from tool_server.model.upstream import UpstreamBackend
from tool_server.settings import Settings


def register(
    app: Flask,
    settings: Settings,
    keys: Keys,
    limits: Limits,
    registry: CollectorRegistry,
    guard: Guard | None,
) -> Backend[Any]:
    """Add the routes to `app`; the backend, for readiness. Raises `SettingsError` when there is nothing to serve."""
    backend = app.extensions["model"] = open_backend(settings, registry)
    moderation = Moderation(settings, registry, guard or AuxGuard.open(settings))

    def others() -> list[dict[str, object]]:
        return [*served_models(settings), *moderation.describe()]

    app.register_blueprint(
        tool_server.model.routes.blueprint(
            settings, keys, limits, registry, backend, moderation, others
        )
    )
    app.register_blueprint(tool_server.model.aux.routes.blueprint(settings, keys, limits, registry))
    app.register_blueprint(tool_server.model.moderation.routes.blueprint(moderation, keys, limits))
    return backend


def open_backend(settings: Settings, registry: CollectorRegistry) -> Backend[Any]:
    """What makes the answers, by the settings. Raises `SettingsError`."""
    if settings.model_backend == "upstream":
        return UpstreamBackend(settings, registry)
    return LocalBackend(settings)
