"""Both packages as files: unpacked, installed as Dify's daemon installs them, started, and called once for each kind.

One pair comes with an index to install from, one with the wheels inside and no index in reach.
"""

import json
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.package import offline
from scripts.package.__main__ import build
from scripts.package.check.__main__ import check
from scripts.package.folder import MODEL, TOOLS
from tests.plugins.raw_server import RawServer
from tests.real.unpacked import NO_INDEX, Started, as_a_server, install, over_stdio, unpack

# The start of a package, once its bytecode is there.
START_S = 3.0
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
KEY = "sq-key"
MODELS = {
    "llm": "private-deepseek",
    "text-embedding": "private-embedding",
    "rerank": "private-rerank",
    "speech2text": "private-speech",
    "moderation": "private-moderation",
}
WAYS = pytest.mark.parametrize("way", [over_stdio, as_a_server], ids=["stdio", "server"])


@dataclass(frozen=True)
class Pair:
    """The folders of both packages, unpacked and installed."""

    tools: Path
    model: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The package files of both pairs."""
    folder = tmp_path_factory.mktemp("dist")
    wheels = offline.wheels(ARCH)
    return {
        "online": [build(root, folder) for root in (TOOLS, MODEL)],
        "offline": [build(root, folder, arch=ARCH, wheels=wheels) for root in (TOOLS, MODEL)],
    }


@pytest.fixture(scope="module", params=["online", "offline"])
def pair(
    request: pytest.FixtureRequest,
    files: dict[str, list[Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    folder = tmp_path_factory.mktemp(request.param)
    roots = [unpack(path, folder / path.stem) for path in files[request.param]]
    for root in roots:
        done = install(root, **(NO_INDEX if request.param == "offline" else {}))
        assert done.returncode == 0, done.stderr
    return Pair(*roots)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


def test_the_packages_with_wheels_keep_all_rules(files: dict[str, list[Path]]) -> None:
    assert list(check(files["offline"])) == []


def test_without_wheels_nothing_is_installed_where_no_index_is(
    files: dict[str, list[Path]], tmp_path: Path
) -> None:
    done = install(unpack(files["online"][0], tmp_path / "a"), **NO_INDEX)
    assert done.returncode != 0


@WAYS
def test_package_a_starts_and_answers(pair: Pair, server: RawServer, way: Any) -> None:
    base = {"name": "handbook", "documents": 1, "passages": 2}
    server.answers_json("/knowledge/bases", {"bases": [base]})
    path = "/channel/demo/callback?msg_signature=s"
    server.answers("<xml>reply</xml>", headers="X-Shenqiao: 1", path=path)
    with warm(way, pair.tools) as package:
        messages = package.call(tool(server, "list_bases"))
        variables = [m["message"] for m in messages if m["type"] == "variable"]
        assert variables[0]["variable_value"] == [base]
        (answer,) = package.call(callback(server))
        assert answer["status"] == 200
        assert bytes.fromhex(answer["result"]) == b"<xml>reply</xml>"


@WAYS
def test_package_b_starts_and_answers(pair: Pair, server: RawServer, way: Any) -> None:
    served = [{"id": name, "type": kind} for kind, name in MODELS.items()]
    server.answers_json("/v1/models", {"data": served})
    server.answers(streamed("12 天"), path="/v1/chat/completions")
    vector = {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}}
    server.answers_json("/v1/embeddings", vector)
    ranked = {"results": [{"index": 0, "relevance_score": 0.9}]}
    server.answers_json("/v1/rerank", ranked)
    server.answers_json("/v1/audio/transcriptions", {"text": "年假"})
    server.answers_json("/v1/moderations", {"results": [{"flagged": True}]})
    with warm(way, pair.model) as package:
        asked = [{"role": "user", "content": "年假有几天？"}]
        chunks = package.call(
            model(server, "llm", prompt_messages=asked, model_parameters={}, tools=None, stop=None)
        )
        text = "".join(chunk["delta"]["message"]["content"] for chunk in chunks)
        assert text == "12 天"
        (vectors,) = package.call(model(server, "text-embedding", texts=["a"], input_type="query"))
        assert vectors["embeddings"] == [[0.5]]
        (docs,) = package.call(
            model(server, "rerank", query="q", docs=["a"], score_threshold=None, top_n=1)
        )
        assert docs["docs"][0]["score"] == 0.9
        (heard,) = package.call(model(server, "speech2text", file=b"#!AMR\nx".hex()))
        assert heard == {"result": "年假"}
        (flagged,) = package.call(model(server, "moderation", text="t"))
        assert flagged == {"result": True}


def warm(way: Any, root: Path) -> AbstractContextManager[Started]:
    """A second start, measured; the first one compiles what it imports."""
    with way(root) as first:
        assert first.process.poll() is None
    return measured(way, root)


@contextmanager
def measured(way: Any, root: Path) -> Iterator[Started]:
    with way(root) as started:
        print(f"{root.name}: {started.wall_s:.2f} s, {started.cpu_s:.2f} of a core")  # noqa: T201
        assert min(started.wall_s, started.cpu_s) < START_S
        yield started


def tool(server: RawServer, name: str) -> dict[str, Any]:
    return {
        "type": "tool",
        "action": "invoke_tool",
        "user_id": "u",
        "provider": "knowledge",
        "tool": name,
        "credentials": {"server_url": server.url, "api_key": KEY},
        "credential_type": "api-key",
        "tool_parameters": {},
    }


def callback(server: RawServer) -> dict[str, Any]:
    request = b"GET /callback?msg_signature=s HTTP/1.1\r\nHost: x\r\n\r\n"
    return {
        "type": "endpoint",
        "action": "invoke_endpoint",
        "user_id": "u",
        "settings": {"server_url": server.url, "account": "demo"},
        "raw_http_request": request.hex(),
    }


def model(server: RawServer, kind: str, **data: Any) -> dict[str, Any]:
    return {
        "type": "model",
        "action": f"invoke_{kind.replace('-', '_')}",
        "user_id": "u",
        "provider": "private_deepseek",
        "model_type": kind,
        "model": MODELS[kind],
        "credentials": {"server_url": server.url, "api_key": KEY},
        **data,
    }


def streamed(text: str) -> str:
    choices = [
        {"index": 0, "delta": {"content": text}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    events = [*({"choices": [choice]} for choice in choices), {"choices": [], "usage": usage}]
    return "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
