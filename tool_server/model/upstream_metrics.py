"""The upstreams' metrics: calls by result, and at each scrape their health and load; labels hold a host at most."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from tool_server.model.upstream_pool import Pool, Upstream


class UpstreamMetrics:
    """Made once for a pool."""

    def __init__(self, registry: CollectorRegistry, pool: Pool) -> None:
        self.calls = Counter(
            "shenqiao_model_upstream_calls_total",
            "Calls by upstream and result: answered, moved, cut, refused.",
            ["upstream", "result"],
            registry=registry,
        )
        self._waiting = Gauge(
            "shenqiao_model_upstream_waiting_requests",
            "Requests that wait for a place.",
            registry=registry,
        )
        healthy = Gauge(
            "shenqiao_model_upstream_healthy",
            "1 when the upstream is in use, 0 when its circuit is open.",
            ["upstream"],
            registry=registry,
        )
        running = Gauge(
            "shenqiao_model_upstream_running_requests",
            "Requests that are at the upstream now.",
            ["upstream"],
            registry=registry,
        )
        for upstream in pool.upstreams:
            healthy.labels(upstream.name).set_function(_healthy(upstream))
            running.labels(upstream.name).set_function(_running(upstream))

    def watch_waiting(self, waiting: Callable[[], float]) -> None:
        self._waiting.set_function(waiting)


def _healthy(upstream: Upstream) -> Callable[[], float]:
    return lambda: float(upstream.circuit != "open")


def _running(upstream: Upstream) -> Callable[[], float]:
    return lambda: float(upstream.in_flight)
