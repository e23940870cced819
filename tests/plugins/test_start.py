"""Both packages start without a daemon that talks to them: the marketplace checks a package in this way."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.plugins.conftest import ROOT

PACKAGES = [ROOT, ROOT / "dify_plugin" / "model_provider"]


@pytest.mark.parametrize("root", PACKAGES, ids=["A", "B"])
def test_a_package_starts_serverless_as_the_marketplace_starts_it(root: Path) -> None:
    port = _free_port()
    with _started(root, port) as process:
        assert _healthy(f"http://127.0.0.1:{port}/health", within_s=90)
        time.sleep(0.5)
        assert process.poll() is None


@contextmanager
def _started(root: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "main"],
        cwd=root,
        env={**os.environ, "INSTALL_METHOD": "serverless", "SERVERLESS_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _healthy(url: str, *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            return httpx.get(url, timeout=1, trust_env=False).status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
    return False


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])
