"""`/metrics`: this process's registry and, from the heartbeats, those of engine and workers, in one page."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from tool_server import heartbeats

VERSION = "0.1.0"


def build_registry(run_dir: Path) -> CollectorRegistry:
    """A registry of the web process that also shows what the other processes reported."""
    registry = CollectorRegistry()
    info = Gauge(
        "shenqiao_build_info",
        "Always 1; the label holds the version.",
        ["version"],
        registry=registry,
    )
    info.labels(VERSION).set(1)
    registry.register(_Reported(run_dir))
    return registry


class _Reported(Collector):
    """The metrics that other processes wrote with their heartbeats, each sample with a `process` label."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        age = GaugeMetricFamily(
            "shenqiao_heartbeat_timestamp_seconds",
            "Time of each process's last heartbeat.",
            labels=["process"],
        )
        for beat in heartbeats.read(self._run_dir):
            age.add_metric([beat.name], beat.at)
            for family in text_string_to_metric_families(beat.metrics):
                _merge(families, family, beat.name)
        yield age
        yield from families.values()


def _merge(families: dict[str, Metric], family: Metric, process: str) -> None:
    target = families.setdefault(
        family.name, Metric(family.name, family.documentation, family.type, family.unit)
    )
    for sample in family.samples:
        target.samples.append(sample._replace(labels={**sample.labels, "process": process}))
