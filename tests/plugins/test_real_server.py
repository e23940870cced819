"""Package B, package A's tools, and the parser that most OpenAI-compatible plugins share, against the real server."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from dify_plugin.entities.model.llm import LLMResult
from dify_plugin.entities.model.message import PromptMessageTool, UserPromptMessage
from dify_plugin.errors.model import CredentialsValidateFailedError
from PIL import Image

from dify_plugin import OAICompatLargeLanguageModel
from dify_plugin.drawn import drawn, pages_of
from dify_plugin.sending import Upload
from dify_plugin.server import Server, ServerError
from dify_plugin.structured import Wanted, answer
from playground.processes import environment, free_ports
from tests.plugins.conftest import ROOT
from tests.plugins.private_models import make
from tool_server.pictures.font import NoFont, find

START_S = 240
SCHEMA = {
    "type": "object",
    "properties": {"days": {"type": "integer", "minimum": 0, "maximum": 30}},
    "required": ["days"],
    "additionalProperties": False,
}
TOOL = PromptMessageTool(name="weather", description="The weather.", parameters=SCHEMA)
QUESTION = [UserPromptMessage(content="年假有几天？")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def url_and_key(folder: Path) -> Iterator[tuple[str, str]]:
    """A tool server with the demo model; nothing of torch in this process."""
    (port,) = free_ports([0])
    environ = environment(
        SHENQIAO_DATA_DIR=str(folder / "data"),
        SHENQIAO_RUN_DIR=str(folder / "r"),
        SHENQIAO_PORT=str(port),
        SHENQIAO_MODEL_PATH=str(ROOT / "playground" / "demo_model"),
        SHENQIAO_KNOWLEDGE_ENABLED="false",
        SHENQIAO_CHANNEL_ENABLED="false",
    )
    command = [sys.executable, "-m", "tool_server", "serve"]
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environ, stderr=log) as process,
    ):
        try:
            wait_ready(url)
            yield url, key_of(folder)
        finally:
            process.terminate()


def wait_ready(url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the tool server did not start")


def key_of(folder: Path, name: str = "model") -> str:
    keys = json.loads((folder / "data" / "keys.json").read_text())["keys"]
    return next(str(key["key"]) for key in keys if key["name"] == name)


@pytest.fixture
def ours(url_and_key: tuple[str, str]) -> dict[str, Any]:
    return {"server_url": url_and_key[0], "api_key": url_and_key[1]}


@pytest.fixture
def tools(url_and_key: tuple[str, str], folder: Path) -> Server:
    """As the tools' form is filled in: with the first start's key for it."""
    return Server(url_and_key[0], key_of(folder, "tools"))


@pytest.fixture
def generic(url_and_key: tuple[str, str]) -> dict[str, Any]:
    url, key = url_and_key
    return {
        "endpoint_url": f"{url}/v1",
        "api_key": key,
        "mode": "chat",
        "stream_mode_delimiter": "\\n\\n",
        "function_calling_type": "tool_call",
        "stream_function_calling": "supported",
    }


def texts(chunks: Any) -> str:
    return "".join(str(chunk.delta.message.content or "") for chunk in chunks)


def test_package_b_checks_its_key_and_reads_what_the_server_says(ours: dict[str, Any]) -> None:
    model = make("llm")
    model.validate_credentials("private-deepseek", ours)
    with pytest.raises(CredentialsValidateFailedError):
        model.validate_credentials("private-deepseek", {**ours, "api_key": "sq-wrong"})


@pytest.mark.parametrize("stream", [True, False])
def test_package_b_gets_the_same_answer_both_ways(ours: dict[str, Any], stream: bool) -> None:
    given = make("llm").invoke(
        "private-deepseek",
        ours,
        QUESTION,
        {"temperature": 0, "max_tokens": 16},
        stream=stream,
    )
    chunks = list(given)
    assert texts(chunks).strip()
    assert chunks[-1].delta.usage.completion_tokens > 0


def test_package_b_gets_json_that_follows_its_schema(ours: dict[str, Any]) -> None:
    parameters = {
        "temperature": 0,
        "max_tokens": 200,
        "response_format": "json_schema",
        "json_schema": json.dumps(SCHEMA),
    }
    chunks = list(make("llm").invoke("private-deepseek", ours, QUESTION, parameters, stream=True))
    assert set(json.loads(texts(chunks))) == {"days"}


def test_an_object_follows_its_schema(tools: Server) -> None:
    wanted = Wanted.of({"text": "我想请十二天年假。", "schema": SCHEMA, "max_tokens": 200})
    outcome = answer(tools, wanted)
    assert outcome.error == ""
    assert set(outcome.result) == {"days"}


def test_a_schema_that_the_engine_cannot_follow_is_said_so(tools: Server) -> None:
    days = {"type": "array", "items": {"type": "string"}, "maxItems": 5000}
    schema = {"type": "object", "properties": {"days": days}}
    with pytest.raises(ServerError, match="maxItems may be at most 1000"):
        answer(tools, Wanted.of({"text": "x", "schema": schema}))


def test_a_key_without_the_model_is_told_which_one_to_take(
    url_and_key: tuple[str, str], folder: Path
) -> None:
    server = Server(url_and_key[0], key_of(folder, "knowledge"))
    with pytest.raises(ServerError, match=r'the one named "tools" of keys\.json'):
        answer(server, Wanted.of({"text": "x", "schema": SCHEMA}))


def has_font() -> bool:
    try:
        return bool(find(""))
    except NoFont:
        return False


@pytest.mark.skipif(not has_font(), reason="no font with Chinese characters is installed")
def test_pictures_come_back(tools: Server) -> None:
    out = io.BytesIO()
    Image.new("RGB", (60, 40)).save(out, "PNG")
    marks = json.dumps([{"kind": "caption", "text": "一号车间"}])
    marked = tools.annotate(Upload("a.png", out.getvalue()), marks, "pixels")
    assert drawn(marked.body, marked.content_type, "a.png").name == "a-marked.jpg"
    rendered = tools.render("| 城市 | 住宿 |\n|---|---|\n| 北京 | 600 |", "差旅")
    assert [page.name for page in pages_of(rendered, "差旅")] == ["差旅.png"]


def test_a_mark_is_named_through_both(tools: Server) -> None:
    with pytest.raises(ServerError, match="refused: picture: it is damaged"):
        tools.annotate(Upload("a.png", b"x"), '[{"kind": "caption", "text": "x"}]', "pixels")
    with pytest.raises(ServerError, match="refused: marks, number 1, to: Field required"):
        tools.annotate(Upload("a.png", b"x"), '[{"kind": "arrow", "from": [1, 2]}]', "pixels")


def test_package_b_sends_tools_that_the_server_takes(ours: dict[str, Any]) -> None:
    chunks = list(
        make("llm").invoke(
            "private-deepseek",
            ours,
            QUESTION,
            {"temperature": 0, "max_tokens": 16},
            tools=[TOOL],
            stream=True,
        )
    )
    assert chunks[-1].delta.finish_reason in ("stop", "length", "tool_calls")


@pytest.mark.parametrize("tools", [[], [TOOL]], ids=["plain", "tools"])
def test_dify_s_own_parser_reads_a_stream_to_its_end(
    generic: dict[str, Any], tools: list[PromptMessageTool]
) -> None:
    chunks = list(
        OAICompatLargeLanguageModel([])._invoke(
            "private-deepseek",
            generic,
            QUESTION,
            {"temperature": 0, "max_tokens": 16},
            tools=tools,
            stream=True,
        )
    )
    assert texts(chunks).strip()
    assert chunks[-1].delta.finish_reason in ("stop", "length")
    assert chunks[-1].delta.usage.prompt_tokens > 0


def test_dify_s_own_parser_reads_a_whole_answer(generic: dict[str, Any]) -> None:
    given = OAICompatLargeLanguageModel([])._invoke(
        "private-deepseek", generic, QUESTION, {"temperature": 0, "max_tokens": 16}, stream=False
    )
    assert isinstance(given, LLMResult)
    assert str(given.message.content).strip()
    assert given.usage.completion_tokens > 0


def test_dify_s_own_check_passes(generic: dict[str, Any]) -> None:
    OAICompatLargeLanguageModel([]).validate_credentials("private-deepseek", generic)
