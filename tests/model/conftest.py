"""A tool server with a tiny model, as real processes: supervisor, web, engine."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from playground.processes import environment, free_ports
from tests.fakes.upstream import FakeUpstream
from tests.model import tiny
from tests.model.upstream_server import UpstreamServer
from tests.waiting import wait_for


@dataclass
class Server:
    """A running tool server, and a client with its key."""

    folder: Path
    url: str
    http: httpx.Client
    checkpoint: Path

    def chat(self, **body: object) -> httpx.Response:
        return self.http.post("/v1/chat/completions", json=self.body(**body))

    def body(self, **body: object) -> dict[str, object]:
        messages = [{"role": "user", "content": "the quick brown fox"}]
        return {"model": "private-deepseek", "messages": messages, "max_tokens": 8, **body}

    def events(self, **body: object) -> list[str]:
        """A stream's frames, taken apart as Dify's SDK does it."""
        answer = self.chat(stream=True, **body)
        assert answer.status_code == 200, answer.text
        frames = [frame for frame in answer.text.split("\n\n") if frame]
        return [frame.removeprefix("data: ") for frame in frames if not frame.startswith(":")]

    def log_events(self, name: str) -> list[dict[str, object]]:
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    def engine_pid(self) -> int:
        started = [e for e in self.log_events("process.started") if e["child"] == "engine"]
        return int(str(started[-1]["child_pid"]))

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", trust_env=False).text

    def metric(self, line: str) -> float:
        """The value of one line of the metrics page; 0 where it is not there yet."""
        lines = [found for found in self.metrics().splitlines() if found.startswith(line)]
        return float(lines[0].split()[-1]) if lines else 0.0

    def made_tokens(self) -> float:
        """How many tokens the engine has made, by a heartbeat that is newer than this call."""
        asked = time.time()
        beat = 'shenqiao_heartbeat_timestamp_seconds{process="engine"}'
        wait_for(lambda: self.metric(beat) > asked)
        return self.metric('shenqiao_engine_tokens_total{process="engine"}')

    def wait_ready(self, timeout_s: float = 240) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._ready():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def server(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), checkpoint) as server:
        yield server


@contextmanager
def serving(folder: Path, checkpoint: Path, **settings: str) -> Iterator[Server]:
    """A tool server of its own, with other `settings` than the shared one."""
    (port,) = free_ports([0])
    environ = environment(
        **{
            "SHENQIAO_DATA_DIR": str(folder / "data"),
            "SHENQIAO_RUN_DIR": str(folder / "r"),
            "SHENQIAO_PORT": str(port),
            "SHENQIAO_MODEL_PATH": str(checkpoint),
            "SHENQIAO_MODEL_MAX_RUNNING": "4",
            "SHENQIAO_MODEL_MAX_QUEUED": "2",
            "SHENQIAO_MODEL_PAGES": "64",
            "SHENQIAO_KNOWLEDGE_ENABLED": "false",
            "SHENQIAO_CHANNEL_ENABLED": "false",
            **settings,
        }
    )
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "tool_server", "serve"]
        url = f"http://127.0.0.1:{port}"
        with (
            subprocess.Popen(command, env=environ, stderr=log) as process,
            httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
        ):
            server = Server(folder, url, http, checkpoint)
            try:
                server.wait_ready()
            except AssertionError:
                process.terminate()
                raise
            keys = json.loads((folder / "data" / "keys.json").read_text())["keys"]
            key = next(key["key"] for key in keys if "model" in key["scopes"])
            http.headers["Authorization"] = f"Bearer {key}"
            yield server
            process.terminate()


@pytest.fixture
def fakes() -> Iterator[list[FakeUpstream]]:
    with FakeUpstream() as one, FakeUpstream() as two, FakeUpstream() as three:
        yield [one, two, three]


@pytest.fixture
def pair(fakes: list[FakeUpstream], tmp_path: Path) -> Iterator[UpstreamServer]:
    """Two upstreams, the first two fakes."""
    with UpstreamServer(tmp_path, fakes[0].url, fakes[1].url) as server:
        wait_for(lambda: all(upstream.model for upstream in server.backend._pool.upstreams))
        yield server


@pytest.fixture
def patient_pair(fakes: list[FakeUpstream], tmp_path: Path) -> Iterator[UpstreamServer]:
    """The same, for upstreams that a test lets wait."""
    urls = (fakes[0].url, fakes[1].url)
    with UpstreamServer(tmp_path, *urls, model_upstream_silence_s=60) as server:
        wait_for(lambda: all(upstream.model for upstream in server.backend._pool.upstreams))
        yield server


@pytest.fixture
def single(fakes: list[FakeUpstream], tmp_path: Path) -> Iterator[UpstreamServer]:
    with UpstreamServer(
        tmp_path, fakes[0].url, model_upstream_max_running=2, model_max_queued=2
    ) as server:
        yield server


@pytest.fixture
def patient_single(fakes: list[FakeUpstream], tmp_path: Path) -> Iterator[UpstreamServer]:
    limits = {"model_upstream_max_running": 2, "model_max_queued": 2}
    with UpstreamServer(tmp_path, fakes[0].url, **limits, model_upstream_silence_s=60) as server:
        yield server
