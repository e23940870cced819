"""The supervisor's pauses, and what remains of a `serve` that is killed or stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from playground.processes import environment, free_ports
from tests.waiting import wait_for
from tool_server.supervisor import HEALTHY_S, LONGEST_PAUSE_S, next_pause


def test_a_process_that_was_healthy_starts_again_at_once() -> None:
    assert next_pause(8.0, HEALTHY_S) == 0


def test_a_process_that_dies_at_once_waits_longer_each_time() -> None:
    pause, pauses = 0.0, []
    for _ in range(8):
        pause = next_pause(pause, 0.1)
        pauses.append(pause)
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == LONGEST_PAUSE_S


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def running(marker: str) -> list[int]:
    """Processes whose environment names our folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def serving(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    environ = environment(
        SHENQIAO_DATA_DIR=str(folder / "data"),
        SHENQIAO_RUN_DIR=str(folder / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_ENABLED="false",
    )
    command = [sys.executable, "-m", "tool_server", "serve"]
    return subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running(tmp_path: Path, number: signal.Signals) -> None:
    (port,) = free_ports([0])
    with serving(tmp_path, port) as process:
        wait_for(lambda: ready(f"http://127.0.0.1:{port}"))
        assert len(running(str(tmp_path))) >= 3
        process.send_signal(number)
        process.wait(90)
    wait_for(lambda: running(str(tmp_path)) == [], why=lambda: running(str(tmp_path)))


def test_nothing_is_left_of_a_supervisor_that_is_killed_while_its_children_start(
    tmp_path: Path,
) -> None:
    (port,) = free_ports([0])
    with serving(tmp_path, port) as process:
        wait_for(lambda: len(running(str(tmp_path))) >= 4)  # web, worker and indexer still import
        process.kill()
    wait_for(lambda: running(str(tmp_path)) == [], why=lambda: running(str(tmp_path)))
