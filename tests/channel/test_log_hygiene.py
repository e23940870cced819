"""No secret of an account, and no token, in any log line of real processes, whatever goes wrong."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from playground.processes import Process, environment, free_ports
from playground.wechat.faults import Fault
from playground.wechat.platform import Platform
from tests.channel.wecom import calls, serve_platform
from tests.waiting import until
from tool_server import wake
from tool_server.channel.ledger import Ledger
from tool_server.channel.surface import Incoming
from tool_server.database import Database
from tool_server.settings import load

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(400)]

CANARY = {
    "secret": "canary-secret-5f1c",
    "token": "canarytoken5f1c",
    "encoding_aes_key": "canaryaeskey5f1cAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "dify_key": "app-canary-dify-5f1c",
}
FAULTS = ("http_500", "broken_json", "reset_before", "reset_after")
CODES = (-1, 40001, 40014, 42001, 45009, 60020, 48002)


@pytest.fixture
def platform_at() -> Iterator[tuple[Platform, str]]:
    secrets = {key: value for key, value in CANARY.items() if key != "dify_key"}
    with serve_platform(**secrets) as found:
        yield found


class Server:
    """Web and worker as real processes, with everything that they wrote."""

    def __init__(self, folder: Path, wecom_url: str) -> None:
        (port,) = free_ports([0])
        self.environ = environment(
            SHENQIAO_DATA_DIR=str(folder / "data"),
            SHENQIAO_RUN_DIR=str(folder / "r"),
            SHENQIAO_PORT=str(port),
            SHENQIAO_LOG_LEVEL="debug",
            SHENQIAO_MODEL_ENABLED="false",
            SHENQIAO_KNOWLEDGE_ENABLED="false",
            SHENQIAO_CHANNEL_WECOM_URL=wecom_url,
            SHENQIAO_CHANNEL_WECOM_TIMEOUT_S="2",
            SHENQIAO_CHANNEL_PUBLIC_URL=f"http://127.0.0.1:{port}",
            SHENQIAO_CHANNEL_CHECK_EVERY_S="0.5",
        )
        self.settings = load(self.environ)
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        self._process = Process(
            "server", ("tool_server", "serve"), log=self.log, environ=self.environ
        )
        until(self.ready, 90, self._process.tail)
        keys = json.loads((self.settings.data_dir / "keys.json").read_text())["keys"]
        admin = next(key["key"] for key in keys if "admin" in key["scopes"])
        headers = {"Authorization": f"Bearer {admin}"}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tool_server", *arguments]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout + done.stderr

    def stop(self) -> None:
        self.http.close()
        self._process.stop()


@pytest.fixture
def server(platform_at: tuple[Platform, str], tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, platform_at[1])
    yield server
    server.stop()


def ask(server: Server, number: int) -> None:
    """A message of somebody, already claimed; nothing answers it but our own sentence, which is pushed."""
    database = Database.open(server.settings)
    ledger = Ledger.open(database, server.settings)
    key = f"k{number}"
    ledger.claim("acc", Incoming(key, key, "zhang", "image", "", 1), wait_until=0.0)
    database.close()
    wake.ring(server.settings.run_dir, "worker")


def test_no_secret_and_no_token_is_in_any_line(
    server: Server, platform_at: tuple[Platform, str]
) -> None:
    platform, _ = platform_at
    account = {
        "surface": "wecom_app",
        "corp_id": "wwcorp",
        "agent_id": 1000002,
        "dify_url": "http://127.0.0.1:9/v1",
        **CANARY,
    }
    said = [server.http.put("/channel/accounts/acc", json=account).text]
    faults = [(kind, 0) for kind in FAULTS] + [("errcode", code) for code in CODES]
    tokens = set()
    for number, (fault, code) in enumerate(faults):
        for route in ("gettoken", "message/send", "agent/get"):
            platform.api.script(Fault(route, fault, code=code))
        platform.api.forget_token()
        said.append(server.http.post("/channel/accounts/acc/check").text)
        ask(server, number)
        tokens.add(platform.api.tokens.get()[0])
    said += [server.run("doctor", "--wecom"), server.run("account", "export")]
    said.append(server.http.put("/channel/accounts/acc", json=account | {"agent_id": "x"}).text)
    said.append(server.http.put("/channel/accounts/acc", json=account | {"token": "canary-!"}).text)
    until(lambda: calls(platform, "message/send"))
    until(lambda: "push.failed" in server.log.read_text())
    said += [server.log.read_text(), server.http.get("/metrics").text]
    for secret in (*CANARY.values(), *tokens):
        assert not any(secret in text for text in said), secret[:12]
