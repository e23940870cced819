"""A package file unpacked into an empty folder, with an environment of its own requirements only, and its process."""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from playground.processes import free_ports
from scripts.package.folder import ROOT

UV = ROOT / ".uv" / "bin" / "uv"
# Dify's daemon takes no other.
PYTHON = sys.executable if sys.version_info[:2] == (3, 12) else "3.12"
# Where nothing listens; uv asks proxies even where an index is configured by the machine.
NOWHERE = "http://127.0.0.1:9"
NO_INDEX = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE),
    "UV_DEFAULT_INDEX": f"{NOWHERE}/simple",
    "UV_NO_CACHE": "1",
}
START_S = 120
CALL_S = 30


def unpack(package: Path, root: Path) -> Path:
    root.mkdir(parents=True)
    with zipfile.ZipFile(package) as opened:
        opened.extractall(root)
    return root


def install(root: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """What Dify's daemon does at installation: Python 3.12, and the package's requirements."""
    environ = {**os.environ, "VIRTUAL_ENV": str(root / ".venv"), **environ}
    commands = (["venv", "--python", PYTHON, ".venv"], ["pip", "install", "-r", "requirements.txt"])
    for command in commands:
        done = subprocess.run(
            [UV, *command], cwd=root, env=environ, capture_output=True, text=True, timeout=280
        )
        if done.returncode:
            break
    return done


@dataclass
class Started:
    """A process that is ready; `wall_s` and `cpu_s` are what its start took."""

    process: subprocess.Popen[bytes]
    url: str
    wall_s: float
    cpu_s: float

    def call(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """One session: the data that it streamed until its end. Raises `AssertionError` for an error."""
        line = json.dumps({"session_id": "s", "event": "request", "data": data})
        with watched(self.process, CALL_S):
            answers = self._over_http(line) if self.url else self._over_stdio(line)
            return list(until_end(answers))

    def _over_http(self, line: str) -> Iterator[bytes]:
        headers = {"Content-Type": "application/json"}
        with httpx.Client(trust_env=False, timeout=CALL_S) as client:
            posted = client.stream("POST", f"{self.url}/invoke", content=line, headers=headers)
            with posted as answer:
                yield from (line.encode() for line in answer.iter_lines())

    def _over_stdio(self, line: str) -> Iterator[bytes]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        yield from iter(self.process.stdout.readline, b"")


def until_end(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        message = json.loads(line) if line.strip() else {}
        if message.get("event") != "session":
            continue
        assert message["data"]["type"] != "error", message
        if message["data"]["type"] == "end":
            return
        yield message["data"]["data"]
    raise AssertionError("the package ended before its answer did")


@contextmanager
def over_stdio(root: Path) -> Iterator[Started]:
    with running(root, INSTALL_METHOD="local") as (process, began):
        assert process.stdout is not None
        with watched(process, START_S):
            ready = next(line for line in iter(process.stdout.readline, b"") if line.strip())
        assert json.loads(ready)["author"] == "shenqiao"
        yield Started(process, "", time.monotonic() - began, cpu_s(process.pid))


@contextmanager
def as_a_server(root: Path) -> Iterator[Started]:
    (port,) = free_ports([0])
    url = f"http://127.0.0.1:{port}"
    environ = {"INSTALL_METHOD": "serverless", "SERVERLESS_HOST": "127.0.0.1"}
    with running(root, **environ, SERVERLESS_PORT=str(port)) as (process, began):
        while not healthy(url):
            assert time.monotonic() < began + START_S, "the package did not start"
            time.sleep(0.05)
        yield Started(process, url, time.monotonic() - began, cpu_s(process.pid))


@contextmanager
def running(root: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """In its own environment, without this repository on the path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    began = time.monotonic()
    process = subprocess.Popen(
        [root / ".venv" / "bin" / "python", "-m", "main"],
        cwd=root,
        env={**clean, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            yield process, began
        finally:
            process.kill()


@contextmanager
def watched(process: subprocess.Popen[bytes], limit_s: float) -> Iterator[None]:
    """A read from a package that never answers ends: its process is killed."""
    timer = threading.Timer(limit_s, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def cpu_s(pid: int) -> float:
    """What the process has computed so far: on a busy machine the clock says little."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
