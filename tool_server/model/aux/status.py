"""What the aux process tells with its heartbeat: the state of each model, and metrics."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tool_server.model.aux.kinds import Kind
from tool_server.model.aux.registry import Slot


class Status:
    """Counters for the registry's and the executor's events, gauges from the slots."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._loads = Counter(
            "shenqiao_aux_loads_total",
            "Auxiliary models by what happened to them: loaded, failed, unloaded.",
            ["kind", "event"],
            registry=self.registry,
        )
        self._bytes = Gauge(
            "shenqiao_aux_model_bytes",
            "Memory of an auxiliary model's weights; 0 while it is not loaded.",
            ["kind"],
            registry=self.registry,
        )
        self._queue = Gauge(
            "shenqiao_aux_queue_requests",
            "Requests that an auxiliary model works on or that wait for it.",
            ["kind"],
            registry=self.registry,
        )
        self._batches = Histogram(
            "shenqiao_aux_batch_items",
            "Texts, pairs or parts of recordings in one forward.",
            ["kind"],
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self.registry,
        )

    def note(self, kind: Kind, event: str) -> None:
        self._loads.labels(kind, event).inc()

    def observe(self, kind: Kind, items: int) -> None:
        self._batches.labels(kind).observe(items)

    def report(self, slots: Mapping[Kind, Slot]) -> dict[str, object]:
        for kind, slot in slots.items():
            self._bytes.labels(kind).set(slot.weight_bytes)
            self._queue.labels(kind).set(slot.jobs)
        return {kind: slot.state for kind, slot in slots.items()}
