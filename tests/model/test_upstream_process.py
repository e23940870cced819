"""Tool servers as real processes: one with an engine, and two whose upstreams are the first and a scripted engine."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from playground.processes import environment, free_ports
from tests.fakes.upstream import FakeUpstream, Plan
from tests.model.conftest import Server
from tests.waiting import wait_for

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as fake:
        yield fake


@pytest.fixture(scope="module")
def front(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A tool server without a model of its own; its upstream is the tool server with the tiny engine."""
    yield from _serve(tmp_path_factory.mktemp("front"), server.url, _key(server))


@pytest.fixture(scope="module")
def scripted(fake: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _serve(tmp_path_factory.mktemp("scripted"), fake.url, "secret-of-the-upstream")


def _key(server: Server) -> str:
    return str(server.http.headers["Authorization"]).removeprefix("Bearer ")


def _serve(folder: Path, url: str, key: str) -> Iterator[Server]:
    (port,) = free_ports([0])
    environ = environment(
        SHENQIAO_DATA_DIR=str(folder / "data"),
        SHENQIAO_RUN_DIR=str(folder / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_BACKEND="upstream",
        SHENQIAO_MODEL_UPSTREAM_URLS=url,
        SHENQIAO_MODEL_UPSTREAM_KEY=key,
        SHENQIAO_MODEL_UPSTREAM_PROBE_S="0.3",
        SHENQIAO_KNOWLEDGE_ENABLED="false",
        SHENQIAO_CHANNEL_ENABLED="false",
    )
    with (folder / "log").open("w") as log:
        address = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "tool_server", "serve"]
        with (
            subprocess.Popen(command, env=environ, stderr=log) as process,
            httpx.Client(base_url=address, timeout=60, trust_env=False) as http,
        ):
            server = Server(folder, address, http, folder)  # it has no checkpoint
            try:
                server.wait_ready()
                keys = json.loads((folder / "data" / "keys.json").read_text())["keys"]
                own = next(key["key"] for key in keys if "model" in key["scopes"])
                http.headers["Authorization"] = f"Bearer {own}"
                yield server
            finally:
                process.terminate()


def test_our_own_server_is_an_upstream_like_any_other(server: Server, front: Server) -> None:
    below = server.chat(temperature=0).json()
    above = front.chat(temperature=0).json()
    assert above["choices"] == below["choices"]
    assert above["usage"] == below["usage"]
    assert above["id"] != below["id"]
    *events, done = front.events(temperature=0)
    chunks = [json.loads(event) for event in events]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == below["choices"][0]["message"]["content"]
    assert done == "[DONE]"


def test_its_context_and_its_reasoning_come_through(server: Server, front: Server) -> None:
    (below,) = server.http.get("/v1/models").json()["data"]
    (model,) = front.http.get("/v1/models").json()["data"]
    assert model["id"] == "private-deepseek"
    assert model["context_length"] == below["context_length"] > 0
    body = front.chat(temperature=0, chat_template_kwargs={"thinking": True}).json()
    assert body["choices"][0]["message"]["reasoning_content"]


def test_its_refusals_come_through(front: Server) -> None:
    long = front.chat(messages=[{"role": "user", "content": "word " * 5000}])
    assert long.status_code == 400
    assert long.json()["error"]["code"] == "context_length_exceeded"
    unable = front.chat(presence_penalty=0.5)
    assert unable.status_code == 400
    assert "presence_penalty" in unable.json()["error"]["message"]


def test_no_engine_is_started_for_an_upstream(front: Server) -> None:
    children = {event["child"] for event in front.log_events("process.started")}
    assert children == {"web"}


@pytest.mark.quiet
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("plan", [Plan(no_head=True), Plan(silent_after=0), Plan(pause_s=9.0)])
def test_a_client_that_leaves_ends_the_upstreams_work_within_two_seconds(
    scripted: Server, fake: FakeUpstream, plan: Plan, stream: bool
) -> None:
    fake.plan = plan
    before = len(fake.left)
    client = httpx.Client(base_url=scripted.url, headers=scripted.http.headers, trust_env=False)
    request = client.build_request(
        "POST", "/v1/chat/completions", json=scripted.body(stream=stream)
    )

    def ask() -> None:
        try:
            client.send(request)
        except httpx.HTTPError:
            return

    reader = threading.Thread(target=ask)
    reader.start()
    wait_for(lambda: fake.running == 1)
    time.sleep(0.2)
    for connection in client._transport._pool.connections:  # type: ignore[attr-defined]
        connection._connection._network_stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    assert wait_for(lambda: len(fake.left) > before, 4) < 2
    reader.join()
    client.close()
    fake.plan = Plan()
    assert scripted.chat().status_code == 200


def test_neither_key_stands_in_a_log(scripted: Server, fake: FakeUpstream) -> None:
    fake.plan = Plan(status=401)
    assert scripted.chat().status_code == 503
    fake.plan = Plan()
    assert scripted.log_events("upstream.failed")
    log = (scripted.folder / "log").read_text()
    assert "secret-of-the-upstream" not in log
    assert _key(scripted) not in log


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "SHENQIAO_MODEL_UPSTREAM_URLS is empty"),
        ({"SHENQIAO_MODEL_UPSTREAM_URLS": "localhost:8000"}, "SHENQIAO_MODEL_UPSTREAM_URLS"),
        ({"SHENQIAO_MODEL_UPSTREAM_URLS": "http://u:hidden@h"}, "SHENQIAO_MODEL_UPSTREAM_URLS"),
    ],
)
def test_what_is_wrong_with_the_urls_is_one_sentence(
    tmp_path: Path, changes: dict[str, str], word: str
) -> None:
    environ = environment(
        SHENQIAO_DATA_DIR=str(tmp_path), SHENQIAO_MODEL_BACKEND="upstream", **changes
    )
    command = [sys.executable, "-m", "tool_server", "serve"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert word in ended.stderr
    assert "hidden" not in ended.stderr
    assert "Traceback" not in ended.stderr
