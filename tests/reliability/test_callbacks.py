"""The callback path alone: how many messages a second one web process verifies, claims and acknowledges."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psutil
import pytest

from playground.processes import environment, free_ports
from playground.wechat.crypto import Secrets
from playground.wechat.message import new_message
from playground.wechat.wecom_app import WeComApp
from tests.channel.conftest import AES_KEY, make_account
from tests.postgres import Missing, running
from tests.reliability.stages import DATABASES, SOAK, tell
from tests.waiting import wait_for
from tool_server.channel.accounts import Accounts
from tool_server.channel.vault import Vault
from tool_server.database import Database
from tool_server.migrate import migrate
from tool_server.settings import load

pytestmark = [pytest.mark.thorough, pytest.mark.quiet]

MESSAGES = 10_000 if SOAK else 600
CONNECTIONS = 16
# On an idle machine of two cores; the client takes a part of them. A busy machine's figure is told, not held to.
WANTED = 500 if SOAK else 20


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database", DATABASES)
def test_the_callback_path_alone(database: str, tmp_path: Path) -> None:
    with _database(database) as url, _web(tmp_path, url) as (address, web):
        requests = list(_requests(MESSAGES))
        started, before = time.monotonic(), _cpu_s(web)
        took = asyncio.run(_send_all(address, requests))
        seconds, worked = time.monotonic() - started, _cpu_s(web) - before
    p99 = sorted(took)[int(len(took) * 0.99)]
    tell(
        f"{database}: {MESSAGES / seconds:.0f} callbacks/s over {CONNECTIONS} connections,"
        f" p50 {statistics.median(took) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms,"
        f" {worked / MESSAGES * 1000:.2f} ms CPU of the web process each"
    )
    assert MESSAGES / seconds > WANTED


@contextmanager
def _database(kind: str) -> Iterator[str]:
    if kind == "sqlite":
        yield ""
        return
    try:
        with running(durable=True) as server:
            yield server.new_database()
    except Missing as error:
        pytest.skip(str(error))


@contextmanager
def _web(folder: Path, database_url: str) -> Iterator[tuple[tuple[str, int], psutil.Process]]:
    """The web process without worker or model, with one account: its address, and itself."""
    (port,) = free_ports([0])
    values = {
        "SHENQIAO_DATA_DIR": str(folder / "data"),
        "SHENQIAO_RUN_DIR": str(folder / "r"),
        "SHENQIAO_PORT": str(port),
        "SHENQIAO_MODEL_ENABLED": "false",
        "SHENQIAO_KNOWLEDGE_ENABLED": "false",
        "SHENQIAO_CHANNEL_WAIT_S": "0",
        "SHENQIAO_CHANNEL_QUEUE_LIMIT": "1000000",
        "SHENQIAO_DATABASE_URL": database_url,
    }
    settings = load(values)
    migrate(settings)
    database = Database.open(settings)
    Accounts(database, Vault.open(settings.data_dir)).save("acc", make_account())
    database.close()
    with (folder / "web.log").open("wb") as log:
        command = [sys.executable, "-m", "tool_server", "web"]
        process = subprocess.Popen(command, env=environment(**values), stderr=log)
        try:
            wait_for(lambda: _answers(port))
            yield ("127.0.0.1", port), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(90)


def _cpu_s(web: psutil.Process) -> float:
    """Seconds of CPU that Gunicorn's master and its worker have used."""
    used = [one.cpu_times() for one in (web, *web.children())]
    return sum(one.user + one.system for one in used)


def _answers(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False).is_success
    return False


def _requests(count: int) -> Iterator[bytes]:
    """Callbacks as bytes, sealed beforehand, of 500 people."""
    app = WeComApp(Secrets("thetoken", AES_KEY, "wwcorp"), 1000002)
    for number in range(count):
        request = app.callback(new_message(number, f"u{number % 500}", "text", f"问题 {number}"))
        path = f"/channel/acc/callback?{urlencode(request.query)}"
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(request.body)}\r\n\r\n"
        yield head.encode() + request.body


async def _send_all(address: tuple[str, int], requests: list[bytes]) -> list[float]:
    """Seconds of each; every one must be a 200."""
    took: list[float] = []
    waiting = iter(requests)

    async def send() -> None:
        reader, writer = await asyncio.open_connection(*address)
        for request in waiting:
            started = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            took.append(time.monotonic() - started)
        writer.close()

    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    return took
