"""Sixteen streams are running when a part dies: clients are told, nothing hangs, service comes back, memory stays."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from playground.processes import environment, free_ports
from tests.model import tiny

pytestmark = [pytest.mark.thorough, pytest.mark.quiet]

STREAMS = 16
SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
KILLS = 50 if SOAK else 8
BACK_S = 5.0  # beyond the time of loading


class Service:
    """A supervised server without an engine, and an engine that can be made to fail."""

    def __init__(self, folder: Path, environ: dict[str, str], url: str) -> None:
        self.folder = folder
        self.url = url
        self._environ = environ
        self.engine = self.start_engine()

    def start_engine(self) -> "subprocess.Popen[bytes]":
        self.loading = time.monotonic()
        with (self.folder / "engine.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.model.fragile_engine"], env=self._environ, stderr=log
            )

    def client(self) -> httpx.Client:
        keys = json.loads((self.folder / "data" / "keys.json").read_text())["keys"]
        key = next(key["key"] for key in keys if "model" in key["scopes"])
        return httpx.Client(
            base_url=self.url,
            timeout=60,
            trust_env=False,
            headers={"Authorization": f"Bearer {key}"},
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def serves(self) -> bool:
        try:
            with self.client() as http:
                answer = http.post("/v1/chat/completions", json=body(4, stream=False))
                return answer.status_code == 200
        except (httpx.HTTPError, OSError):
            return False

    def wait(self, timeout_s: float = 240) -> float:
        """Seconds until it serves again."""
        started = time.monotonic()
        while not self.serves():
            assert time.monotonic() - started < timeout_s
            time.sleep(0.1)
        return time.monotonic() - started

    def web_worker(self) -> psutil.Process:
        lines = (self.folder / "log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        started = [e for e in events if e["event"] == "process.started" and e["child"] == "web"]
        master = psutil.Process(int(started[-1]["child_pid"]))
        return master.children()[0]


def body(tokens: int, *, stream: bool = True) -> dict[str, object]:
    messages = [{"role": "user", "content": "the quick brown fox"}]
    return {
        "model": "private-deepseek",
        "messages": messages,
        "max_tokens": tokens,
        "stream": stream,
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("kills")
    (port,) = free_ports([0])
    environ = environment(
        SHENQIAO_DATA_DIR=str(folder / "data"),
        SHENQIAO_RUN_DIR=str(folder / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_PATH=str(tiny.make(folder / "model", positions=4096)),
        SHENQIAO_MODEL_MAX_TOKENS="4000",
        SHENQIAO_KNOWLEDGE_ENABLED="false",
        SHENQIAO_CHANNEL_ENABLED="false",
    )
    (folder / "r").mkdir()
    # The supervisor gets no model and so no engine; its web child does.
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "tests.model.web_only"]
        with subprocess.Popen(command, env=environ, stderr=log) as process:
            service = Service(folder, environ, f"http://127.0.0.1:{port}")
            try:
                service.wait()
                yield service
            finally:
                service.engine.kill()
                service.engine.wait()
                process.terminate()


@contextmanager
def streams(service: Service) -> Iterator[list[str]]:
    """Sixteen long answers that have begun; how each of them ended, once all have."""
    ends: list[str] = []
    begun = threading.Barrier(STREAMS + 1, timeout=60)

    def read() -> None:
        last, waited = "", False
        try:
            with (
                service.client() as http,
                http.stream("POST", "/v1/chat/completions", json=body(3900)) as answer,
            ):
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        last = line.removeprefix("data: ") if "[DONE]" not in line else last
                        if not waited and '"content"' in line and '"content": ""' not in line:
                            waited = True
                            begun.wait()
        except httpx.HTTPError as error:
            last = type(error).__name__
        ends.append(last)

    threads = [threading.Thread(target=read) for _ in range(STREAMS)]
    for thread in threads:
        thread.start()
    begun.wait()
    yield ends
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive(), "a stream hangs"


def error_codes(ends: list[str]) -> set[str]:
    return {json.loads(end).get("error", {}).get("code", end) for end in ends}


def test_a_failed_step_ends_the_streams_with_a_retryable_error(service: Service) -> None:
    with streams(service) as ends:
        service.engine.send_signal(signal.SIGUSR1)
    assert len(ends) == STREAMS
    assert error_codes(ends) == {"engine_failed"}
    assert service.wait() < BACK_S


def test_a_killed_engine_ends_the_streams_with_a_retryable_error(service: Service) -> None:
    with streams(service) as ends:
        service.engine.kill()
        service.engine.wait()
    assert error_codes(ends) == {"engine_failed"}
    with service.client() as http:
        away = http.post("/v1/chat/completions", json=body(4))
    assert away.status_code == 503
    assert int(away.headers["Retry-After"]) >= 1
    service.engine = service.start_engine()
    service.wait()


def test_a_killed_web_process_resets_its_connections(service: Service) -> None:
    with streams(service) as ends:
        service.web_worker().kill()
    assert len(ends) == STREAMS
    assert all(end in ("RemoteProtocolError", "ReadError") for end in ends), ends
    assert service.wait() < 30 + BACK_S


def test_memory_stays_over_many_kills(service: Service) -> None:
    engine = psutil.Process(service.engine.pid)
    sizes = []
    for _ in range(KILLS):
        with ExitStack() as stack:
            stack.enter_context(streams(service))
            service.engine.send_signal(signal.SIGUSR1)
        service.wait()
        sizes.append((engine.memory_info().rss, service.web_worker().memory_info().rss))
    print([(engine // 2**20, web // 2**20) for engine, web in sizes])  # noqa: T201  (MiB)
    for first, last in zip(sizes[2], sizes[-1], strict=True):
        assert last < first * 1.05 + 8 * 2**20
