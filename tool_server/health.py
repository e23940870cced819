"""`/health/live`, `/health/ready` and `/metrics`: what an operator's probes ask."""

import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from tool_server import heartbeats
from tool_server.knowledge.index.choose import open_probe
from tool_server.model.aux import kinds
from tool_server.model.backend import Backend
from tool_server.settings import Settings


def blueprint(
    settings: Settings, registry: CollectorRegistry, model: Backend[Any] | None
) -> Blueprint:
    """Routes without a key; `/metrics` is kept inside by the proxy in front."""
    routes = Blueprint("health", __name__)
    index = open_probe(settings)

    @routes.get("/health/live")
    def live() -> Response:
        return jsonify(status="live")

    @routes.get("/health/ready")
    def ready() -> tuple[Response, int]:
        checks = _checks(settings, model)
        if index is not None:
            checks["index"] = index()
        ok = all(check["ok"] for check in checks.values())
        return jsonify(status="ready" if ok else "not ready", checks=checks), 200 if ok else 503

    @routes.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes


def _checks(settings: Settings, model: Backend[Any] | None) -> dict[str, Mapping[str, object]]:
    """One entry per process that this machine's settings ask for."""
    now = time.time()
    beats = {
        beat.name.split("-")[0]: beat
        for beat in heartbeats.read(settings.run_dir)
        if beat.fresh(now)
    }
    checks: dict[str, Mapping[str, object]] = {}
    if model is not None and (upstream := model.check()) is not None:
        checks["upstream"] = upstream
    elif model is not None:
        engine = beats.get("engine")
        loaded = engine is not None and bool(engine.state.get("loaded"))
        checks["engine"] = {"ok": loaded, "state": dict(engine.state) if engine else "no heartbeat"}
    if model is not None and kinds.configured(
        settings
    ):  # its models are loaded on demand: it is ready without any
        aux = beats.get("aux")
        checks["aux"] = {"ok": aux is not None, "state": dict(aux.state) if aux else "no heartbeat"}
    if settings.channel_enabled:
        worker = beats.get("worker")
        checks["worker"] = {
            "ok": worker is not None,
            "state": dict(worker.state) if worker else "no heartbeat",
        }
    return checks
