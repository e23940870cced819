"""Package B's own process under the SDK, as Dify's daemon talks to it: every model type, its forms and descriptions."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from playground.dify.plugin import Plugin, PluginError
from tests.plugins.conftest import ROOT
from tests.plugins.private_models import NAMES, credentials, delta, serve
from tests.plugins.raw_server import RawServer

TYPES = {kind: kind.replace("_", "-") for kind in NAMES}
SERVED = [{"id": NAMES[kind], "type": TYPES[kind], "context_length": 777} for kind in NAMES]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    log = tmp_path_factory.mktemp("log") / "package-b.log"
    package = Plugin(ROOT / "dify_plugin" / "model_provider", log)
    package.wait_ready()
    yield package
    package.stop()


def call(package: Plugin, server: RawServer, action: str, kind: str, **data: Any) -> list[Any]:
    asked = {
        "type": "model",
        "action": action,
        "user_id": "u",
        "provider": "private_deepseek",
        "model_type": TYPES[kind],
        "model": NAMES[kind],
        "credentials": credentials(server),
    }
    return list(package.call({**asked, **data}, timeout_s=20))


def test_a_tool_is_called_in_a_stream(package: Plugin, server: RawServer) -> None:
    function = {"name": "weather", "arguments": '{"city": "北京"}'}
    server.answers(
        delta(tool_calls=[{"index": 0, "id": "c", "function": function}]), delta("tool_calls")
    )
    chunks = call(
        package,
        server,
        "invoke_llm",
        "llm",
        prompt_messages=[
            {"role": "user", "content": "q"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "b", "type": "function", "function": function}],
            },
            {"role": "tool", "content": "晴", "tool_call_id": "b"},
        ],
        model_parameters={"enable_thinking": False, "max_tokens": 9},
        stop=None,
        tools=[{"name": "weather", "description": "d", "parameters": {"type": "object"}}],
    )
    (tool_call,) = chunks[0]["delta"]["message"]["tool_calls"]
    assert tool_call == {"id": "c", "type": "function", "function": function}
    assert chunks[-1]["delta"]["finish_reason"] == "tool_calls"
    asked = json.loads(server.asked("/v1/chat/completions")[0])
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "tool"]
    assert asked["messages"][1]["tool_calls"][0]["id"] == asked["messages"][2]["tool_call_id"]
    assert asked["chat_template_kwargs"] == {"enable_thinking": False}
    assert asked["max_tokens"] == 9


def test_texts_become_vectors(package: Plugin, server: RawServer) -> None:
    answer = {"data": [{"index": 0, "embedding": [0.5, 1.0]}], "usage": {"prompt_tokens": 3}}
    server.answers_json("/v1/embeddings", answer)
    (result,) = call(
        package, server, "invoke_text_embedding", "text_embedding", texts=["a"], input_type="query"
    )
    assert result["embeddings"] == [[0.5, 1.0]]
    assert result["usage"]["total_tokens"] == 3


def test_passages_are_ranked(package: Plugin, server: RawServer) -> None:
    server.answers_json("/v1/rerank", {"results": [{"index": 1, "relevance_score": 0.9}]})
    (result,) = call(
        package,
        server,
        "invoke_rerank",
        "rerank",
        query="q",
        docs=["a", "b"],
        score_threshold=None,
        top_n=1,
    )
    assert result["docs"] == [{"index": 1, "text": "b", "score": 0.9}]


def test_a_recording_becomes_text(package: Plugin, server: RawServer) -> None:
    server.answers_json("/v1/audio/transcriptions", {"text": "年假"})
    (result,) = call(package, server, "invoke_speech2text", "speech2text", file=b"#!AMR\nxyz".hex())
    assert result == {"result": "年假"}
    assert b'filename="recording.amr"' in server.asked("/v1/audio/transcriptions")[0]


def test_a_text_is_moderated(package: Plugin, server: RawServer) -> None:
    server.answers_json("/v1/moderations", {"results": [{"flagged": True}]})
    (result,) = call(package, server, "invoke_moderation", "moderation", text="t")
    assert result == {"result": True}


@pytest.mark.parametrize("kind", NAMES)
def test_a_model_is_checked_and_described(package: Plugin, server: RawServer, kind: str) -> None:
    serve(server, *SERVED)
    (checked,) = call(package, server, "validate_model_credentials", kind)
    assert checked["result"] is True
    (described,) = call(package, server, "get_ai_model_schemas", kind)
    schema = described["model_schema"]
    assert (schema["model"], schema["model_type"]) == (NAMES[kind], TYPES[kind])
    size = schema["model_properties"].get("context_size")
    assert size == (None if kind in ("speech2text", "moderation") else 777)


@pytest.mark.parametrize("kind", NAMES)
def test_a_model_that_is_not_served_is_refused_with_a_sentence(
    package: Plugin, server: RawServer, kind: str
) -> None:
    serve(server, *SERVED)
    with pytest.raises(PluginError) as caught:
        call(package, server, "validate_model_credentials", kind, model="other")
    assert caught.value.kind == "CredentialsValidateFailedError"
    assert f"of this type it serves: {NAMES[kind]}." in str(caught.value)


def test_tokens_are_counted_without_the_server(package: Plugin, server: RawServer) -> None:
    messages = [{"role": "user", "content": "年假有几天"}]
    (counted,) = call(
        package, server, "get_llm_num_tokens", "llm", prompt_messages=messages, tools=None
    )
    assert counted == {"num_tokens": 7}
    (counted,) = call(
        package, server, "get_text_embedding_num_tokens", "text_embedding", texts=["年假", "a"]
    )
    assert counted == {"num_tokens": [2, 1]}
    assert server.heads == []
