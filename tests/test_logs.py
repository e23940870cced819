"""Logs and heartbeats: one JSON object a line, secrets out, the last word of each process."""

import json
import logging
import time
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter, generate_latest

from tool_server import heartbeats, logs, metrics
from tool_server.settings import load


def test_a_line_is_json_and_holds_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(load({}), "test")
    structlog.get_logger().info(
        "call", url="https://x/?access_token=hidden&a=1", auth="Bearer hidden"
    )
    logging.getLogger("library").warning("corpsecret=hidden")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["call", "library"]
    assert lines[0]["process"] == "test"
    assert "hidden" not in json.dumps(lines)


def test_a_heartbeat_brings_state_and_metrics_to_the_web_process(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    heartbeat = heartbeats.Heartbeat(tmp_path, "worker-1", registry, lambda: {"active": 2})
    heartbeat.start()
    (beat,) = heartbeats.read(tmp_path)
    assert beat.fresh(time.time())
    assert not beat.fresh(time.time() + heartbeats.STALE_S + 1)
    assert beat.state == {"active": 2}
    page = generate_latest(metrics.build_registry(tmp_path)).decode()
    assert 'things_total{process="worker-1"} 3.0' in page
    heartbeat.stop()
    assert heartbeats.read(tmp_path) == []


def test_the_beats_of_a_dead_process_are_forgotten(tmp_path: Path) -> None:
    heartbeat = heartbeats.Heartbeat(tmp_path, "engine", CollectorRegistry())
    heartbeat.start()
    heartbeats.forget(tmp_path, 1)
    (beat,) = heartbeats.read(tmp_path)
    heartbeats.forget(tmp_path, beat.pid)
    assert heartbeats.read(tmp_path) == []
    heartbeat.stop()
