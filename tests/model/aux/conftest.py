"""Tool servers with tiny auxiliary models, as real processes: supervisor, web, engine, aux."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch

from playground.processes import environment, free_ports
from tests.model.aux import tiny
from tool_server.settings import Settings, load


@dataclass
class AuxServer:
    """A running tool server, and a client with its key."""

    folder: Path
    url: str
    http: httpx.Client

    def post(self, path: str, body: object) -> httpx.Response:
        """The answer; while a model loads it is asked for again, as clients do."""
        return self.patient(lambda: self.http.post(path, json=body))

    def hear(self, audio: bytes, **fields: str) -> httpx.Response:
        data = {"model": "private-speech", **fields}
        return self.patient(
            lambda: self.http.post(
                "/v1/audio/transcriptions", data=data, files={"file": ("voice", audio)}
            )
        )

    def patient(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + 110
        while (answer := send()).status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            assert time.monotonic() < deadline, self.log()[-3000:]
            time.sleep(0.2)
        return answer

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def log_events(self, name: str) -> list[dict[str, object]]:
        lines = self.log().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == name]

    def pid(self, child: str) -> int:
        started = [e for e in self.log_events("process.started") if e["child"] == child]
        return int(str(started[-1]["child_pid"]))

    def settings(self, **more: str) -> Settings:
        """As the server itself has them, for a client of its socket."""
        environ = Path(f"/proc/{self.pid('aux')}/environ").read_bytes().decode().split("\0")
        pairs = (entry.partition("=") for entry in environ if entry.startswith("SHENQIAO_"))
        return load({**{name: value for name, _, value in pairs}, **more})

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", trust_env=False).text

    def wait_listening(self) -> None:
        deadline = time.monotonic() + 60
        while not self.log_events("aux.ready"):
            assert time.monotonic() < deadline, self.log()[-2000:]
            time.sleep(0.1)
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if self.http.get("/health/live").status_code == 200:
                    return
            assert time.monotonic() < deadline, self.log()[-2000:]
            time.sleep(0.1)


@contextlib.contextmanager
def serving(folder: Path, checkpoint: Path, **settings: str) -> Iterator[AuxServer]:
    """`shenqiao serve` with the demo-sized main model `checkpoint` and what `settings` (SHENQIAO_MODEL_…) say."""
    (port,) = free_ports([0])
    environ = environment(
        SHENQIAO_DATA_DIR=str(folder / "data"),
        SHENQIAO_RUN_DIR=str(folder / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_PATH=str(checkpoint),
        SHENQIAO_MODEL_PAGES="64",
        SHENQIAO_KNOWLEDGE_ENABLED="false",
        SHENQIAO_CHANNEL_ENABLED="false",
        **{f"SHENQIAO_MODEL_{name.upper()}": value for name, value in settings.items()},
    )
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tool_server", "serve"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environ, stderr=log) as process,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        server = AuxServer(folder, url, http)
        try:
            server.wait_listening()
            keys = json.loads((folder / "data" / "keys.json").read_text())["keys"]
            key = next(key["key"] for key in keys if "model" in key["scopes"])
            http.headers["Authorization"] = f"Bearer {key}"
            yield server
        finally:
            process.terminate()


@dataclass(frozen=True)
class Folders:
    """A tiny model of each kind."""

    bert: Path
    xlm_roberta: Path
    cross_encoder: Path
    qwen3: Path
    whisper: Path
    guard: Path


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As the aux process has it: sums in another order are other numbers, and threads would wait for cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("aux-models")
    made = {name: getattr(tiny, name)(root / name) for name in Folders.__annotations__}
    return Folders(**made)


@pytest.fixture(scope="session")
def aux(
    checkpoint: Path, folders: Folders, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuxServer]:
    """All four kinds, with room for all of them."""
    with serving(
        tmp_path_factory.mktemp("aux"),
        checkpoint,
        embedding_path=str(folders.qwen3),
        embedding_matryoshka="true",
        embedding_max_batch="16",
        rerank_path=str(folders.cross_encoder),
        rerank_max_documents="16",
        speech_path=str(folders.whisper),
        speech_max_s="90",
        speech_max_mb="4",
        guard_path=str(folders.guard),
        aux_max_queued="8",
        aux_batch_tokens="256",
    ) as server:
        yield server
