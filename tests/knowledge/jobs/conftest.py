"""What the tests of jobs share: the jobs of an installation, and the processes of a real one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from playground.processes import environment, free_ports
from tests.waiting import until
from tool_server.knowledge.jobs.queue import Jobs
from tool_server.knowledge.search import Knowledge


@pytest.fixture
def jobs(knowledge: Knowledge) -> Jobs:
    return Jobs(knowledge.settings, knowledge.catalogue.database)


class Served:
    """`serve` with web and indexer, and a client with the editor's key."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        (port,) = free_ports([0])
        self.environ = environment(
            SHENQIAO_DATA_DIR=str(self.data_dir),
            SHENQIAO_RUN_DIR=str(folder / "r"),
            SHENQIAO_PORT=str(port),
            SHENQIAO_MODEL_ENABLED="false",
            SHENQIAO_CHANNEL_ENABLED="false",
            **settings,
        )
        self._log = (folder / "log").open("ab")
        command = [sys.executable, "-m", "tool_server", "serve"]
        self._process = subprocess.Popen(command, env=self.environ, stderr=self._log)
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            trust_env=False,
            timeout=30,
            # A server may close a connection over which it did not want to read a refused body to its end.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        try:
            until(self.ready)
        except AssertionError:
            self.close()
            raise
        keys = json.loads((self.data_dir / "keys.json").read_text())["keys"]
        self.keys = {key["name"]: key["key"] for key in keys}
        self.http.headers["Authorization"] = f"Bearer {self.keys['editor']}"
        until(lambda: list((self.data_dir / "owners").glob("indexer-*")))

    def ready(self) -> bool:
        try:
            return self.http.get("/health/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def upload(self, *files: tuple[str, bytes], base: str = "kb", **fields: str) -> httpx.Response:
        parts = [("files", file) for file in files]
        return self.http.post(f"/knowledge/bases/{base}/files", files=parts, data=fields)

    def job(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/knowledge/jobs/{number}").json()
        return found

    def ended(self, answer: httpx.Response) -> dict[str, Any]:
        """The job of an accepted upload, once it has ended."""
        assert answer.status_code == 202, answer.text
        number = answer.json()["job"]["id"]
        found: dict[str, Any] = until(
            lambda: (job := self.job(number))["job"]["finished_at"] and job
        )
        return found

    def search(self, query: str) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.keys['knowledge']}"}
        answer = self.http.post("/knowledge/search", json={"query": query}, headers=headers)
        passages: list[dict[str, Any]] = answer.json()["passages"]
        return passages

    def pid(self, child: str) -> int:
        lines = (self.folder / "log").read_text().splitlines()
        started = [line for line in lines if "process.started" in line and f'"{child}"' in line]
        return int(json.loads(started[-1])["child_pid"])

    def kill(self, child: str) -> None:
        """kill -9, and wait until the supervisor has started another one."""
        pid = self.pid(child)
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.pid(child) != pid)

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(90)
        self.http.close()
        self._log.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as served:
        yield served
