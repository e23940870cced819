"""Both packages under the real SDK, over stdio, against a tool server of real HTTP."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.dify.door import invoke_endpoint
from playground.dify.packages import Packages, Session
from playground.dify.plugin import PluginError
from tests.fakes.tool_server import KEY, PASSAGE, FakeToolServer
from tests.waiting import until

ROOT = Path(__file__).parents[3]
SESSION = Session(user="u", app="app-1", conversation="conv-1", message="m-1")
PROVIDER = "shenqiao/shenqiao_model/private_deepseek"


@pytest.fixture
def server() -> Iterator[FakeToolServer]:
    with FakeToolServer() as server:
        yield server


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    packages = Packages(
        ROOT,
        ROOT / "dify_plugin" / "model_provider",
        knowledge={},
        model={},
        logs=tmp_path_factory.mktemp("logs"),
    )
    packages.tools.wait_ready()
    packages.model.wait_ready()
    yield packages
    packages.stop()


@pytest.fixture
def packages(started: Packages, server: FakeToolServer) -> Packages:
    started._knowledge = {"server_url": server.url, "api_key": KEY}
    started._model = {"server_url": server.url, "api_key": KEY}
    return started


def search(packages: Packages, **parameters: Any) -> dict[str, Any]:
    """The variables of the tool `search`."""
    return call(packages, "search", {"query": "年假有几天？", **parameters})


def call(packages: Packages, tool: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """A tool's variables."""
    messages = packages.invoke_tool("shenqiao/shenqiao/knowledge", tool, parameters, SESSION)
    variables = [m["message"] for m in messages if m["type"] == "variable"]
    return {v["variable_name"]: v["variable_value"] for v in variables}


def complete(packages: Packages, **parameters: Any) -> tuple[str, list[dict[str, Any]]]:
    """The model's text, and its chunks."""
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    chunks = list(
        packages.invoke_model(PROVIDER, "private-deepseek", messages, parameters, SESSION)
    )
    return "".join(c["delta"]["message"]["content"] for c in chunks), chunks


def relay(
    packages: Packages, settings: dict[str, str], body: bytes = b"<xml/>"
) -> tuple[int, bytes]:
    head = (
        b"POST /callback?msg_signature=s%%2B&nonce=n HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    answer = list(invoke_endpoint(packages.tools, head + body, settings))
    text = b"".join(bytes.fromhex(part["result"]) for part in answer if part.get("result"))
    return answer[0]["status"], text


def test_right_credentials_are_saved(packages: Packages) -> None:
    packages.validate()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"api_key": "sq-wrong"}, "key"),
        ({"server_url": "http://127.0.0.1:9"}, "reached"),
        ({"server_url": "no url"}, "URL"),
    ],
)
@pytest.mark.parametrize("form", ["_knowledge", "_model"])
def test_a_wrong_form_is_refused_with_a_sentence(
    packages: Packages, change: dict[str, str], word: str, form: str
) -> None:
    getattr(packages, form).update(change)
    with pytest.raises(PluginError) as caught:
        packages.validate()
    assert word in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_the_search_gives_citations_context_found_and_language(
    packages: Packages, server: FakeToolServer
) -> None:
    variables = search(packages, ticket="t", top_k=2)
    assert variables["found"] == "yes"
    assert variables["language"] == "zh"
    assert variables["context"] == "[1] 员工手册 › 年假\n员工每年享有 12 天带薪年假。"
    (item,) = variables["result"]
    assert item["content"] == variables["context"]
    assert item["metadata"]["_source"] == "knowledge"
    assert item["metadata"]["segment_id"] == PASSAGE["segment_id"]
    assert server.searches[-1] == {
        "query": "年假有几天？",
        "bases": [],
        "top_k": 2,
        "score_threshold": 0.0,
        "mode": "auto",
        "filters": None,
        "language": "",
        "ticket": "t",
        "app": "app-1",
        "conversation": "conv-1",
    }


def test_a_search_that_found_nothing_gives_empty_variables(
    packages: Packages, server: FakeToolServer
) -> None:
    server.found = False
    variables = search(packages)
    assert (variables["found"], variables["result"], variables["context"]) == ("no", [], "")


def test_the_bases_are_listed_without_a_parameter(packages: Packages) -> None:
    variables = call(packages, "list_bases", {})
    assert variables == {
        "result": [{"name": "handbook", "documents": 1, "passages": 1}],
        "count": 1,
    }


def test_a_document_s_text_comes_as_a_quotation(packages: Packages, server: FakeToolServer) -> None:
    parameters = {"document_id": "d", "offset": 4, "ticket": "t", "max_characters": 500}
    assert call(packages, "document_text", parameters) == {
        "content": "[1] 员工手册\n(2) 员工每年享有 12 天带薪年假。",
        "title": "员工手册",
        "url": "",
        "truncated": "yes",
        "next_offset": 9,
    }
    assert server.documents[-1] == {
        "document_id": "d",
        "offset": 4,
        "limit": 500,
        "ticket": "t",
        "app": "app-1",
        "conversation": "conv-1",
    }


def test_a_search_that_fails_is_an_error_with_a_sentence(
    packages: Packages, server: FakeToolServer
) -> None:
    server.status = 503
    with pytest.raises(PluginError, match="refused"):
        search(packages)


def test_an_answer_is_streamed_and_ends_with_its_usage(
    packages: Packages, server: FakeToolServer
) -> None:
    text, chunks = complete(packages, temperature=0)
    assert text == "12 天"
    assert chunks[-1]["delta"]["usage"]["total_tokens"] == 7
    assert chunks[-1]["delta"]["finish_reason"] == "stop"
    asked = server.chats[-1]
    assert (asked["model"], asked["temperature"], asked["stream"]) == ("private-deepseek", 0, True)
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]


def test_reasoning_stands_in_think_tags_as_dify_shows_it(
    packages: Packages, server: FakeToolServer
) -> None:
    server.deltas = [{"reasoning_content": "a"}, {"reasoning_content": "b"}, {"content": "12"}]
    assert complete(packages)[0] == "<think>\nab\n</think>\n12"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "InvokeBadRequestError"),
        (401, "InvokeAuthorizationError"),
        (403, "InvokeAuthorizationError"),
        (429, "InvokeRateLimitError"),
        (500, "InvokeServerUnavailableError"),
        (503, "InvokeServerUnavailableError"),
    ],
)
def test_an_error_of_the_model_server_keeps_its_kind(
    packages: Packages, server: FakeToolServer, status: int, kind: str
) -> None:
    server.status = status
    with pytest.raises(PluginError) as caught:
        complete(packages)
    assert caught.value.kind == kind
    assert status != 429 or "7 seconds" in str(caught.value)


def test_a_model_server_that_is_away_is_a_connection_error(packages: Packages) -> None:
    packages._model["server_url"] = "http://127.0.0.1:9"
    with pytest.raises(PluginError) as caught:
        complete(packages)
    assert caught.value.kind == "InvokeConnectionError"


def test_an_engine_that_fails_in_the_middle_is_an_error_and_no_short_answer(
    packages: Packages, server: FakeToolServer
) -> None:
    server.break_stream = True
    with pytest.raises(PluginError, match="engine failed"):
        complete(packages)


def test_a_callback_is_passed_on_as_it_is(packages: Packages, server: FakeToolServer) -> None:
    settings = {"server_url": server.url, "account": "demo"}
    assert relay(packages, settings, b"<xml>\xe4\xb8\xad</xml>") == (200, b"<xml>reply</xml>")
    (seen,) = server.callbacks
    assert seen == {
        "account": "demo",
        "method": "POST",
        "query": "msg_signature=s%2B&nonce=n",
        "body": b"<xml>\xe4\xb8\xad</xml>",
        "type": "text/xml",
        "relay": "dify",
    }


def test_the_tool_servers_refusal_is_passed_back(
    packages: Packages, server: FakeToolServer
) -> None:
    server.status = 403
    assert relay(packages, {"server_url": server.url, "account": "demo"})[0] == 403


@pytest.mark.quiet
def test_a_tool_server_that_is_away_or_slow_is_a_503_in_time(
    packages: Packages, server: FakeToolServer
) -> None:
    assert relay(packages, {"server_url": "http://127.0.0.1:9", "account": "demo"}) == (503, b"")
    server.slow_s = 6
    started = time.monotonic()
    assert relay(packages, {"server_url": server.url, "account": "demo"}) == (503, b"")
    assert time.monotonic() - started < 4.95


@pytest.mark.parametrize("account", ["", "../admin", "A B", "x" * 65])
def test_an_impossible_account_answers_like_a_bad_signature(
    packages: Packages, server: FakeToolServer, account: str
) -> None:
    assert relay(packages, {"server_url": server.url, "account": account})[0] == 403
    assert server.callbacks == []


def test_a_body_over_the_limit_is_refused(packages: Packages, server: FakeToolServer) -> None:
    settings = {"server_url": server.url, "account": "demo"}
    assert relay(packages, settings, b"x" * (1024 * 1024 + 1))[0] == 413


def test_the_playground_never_imports_the_sdk(packages: Packages) -> None:
    assert packages.tools.pid
    assert "dify_plugin" not in sys.modules
    assert "gevent" not in sys.modules


def test_a_package_that_was_killed_is_started_again(packages: Packages) -> None:
    import os
    import signal

    before = packages.tools.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: packages.tools.pid != before)
    packages.tools.wait_ready()
    assert search(packages)["found"] == "yes"
