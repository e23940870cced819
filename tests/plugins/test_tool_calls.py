"""Tool calls of package B's model, which come in pieces, and answers that Dify reads as JSON."""

import json
from typing import Any

import pytest
from dify_plugin.entities.model.llm import LLMResultChunk
from dify_plugin.entities.model.message import PromptMessageTool, UserPromptMessage
from dify_plugin.errors.model import (
    InvokeBadRequestError,
    InvokeError,
    InvokeServerUnavailableError,
)

from tests.plugins.private_models import DONE, USAGE, credentials, delta, make
from tests.plugins.raw_server import RawServer

CALLED = delta("tool_calls")
CHAT = "/v1/chat/completions"


def part(index: int | None, arguments: str = "", **fields: Any) -> str:
    """A delta with a piece of a call."""
    name = {"name": fields.pop("name")} if "name" in fields else {}
    function = {**name, "arguments": arguments}
    where = {} if index is None else {"index": index}
    return delta(tool_calls=[{**where, "function": function, **fields}])


def ask(server: RawServer, *, stream: bool = True, **parameters: Any) -> list[LLMResultChunk]:
    tool = PromptMessageTool(name="weather", description="d", parameters={"type": "object"})
    return list(
        make("llm").invoke(
            "private-deepseek",
            credentials(server),
            [UserPromptMessage(content="q")],
            parameters,
            tools=[tool],
            stream=stream,
        )
    )


def calls(chunks: list[LLMResultChunk]) -> list[tuple[str, str, str]]:
    found = [call for chunk in chunks for call in chunk.delta.message.tool_calls]
    assert all(call.type == "function" for call in found)
    return [(call.id, call.function.name, call.function.arguments) for call in found]


def text(chunks: list[LLMResultChunk]) -> str:
    return "".join(str(chunk.delta.message.content) for chunk in chunks)


@pytest.mark.parametrize("stream", [True, False])
def test_parallel_calls_are_put_together_from_their_pieces(server: RawServer, stream: bool) -> None:
    server.answers(
        part(0, id="call_a", name="weather"),
        part(0, '{"city": '),
        part(1, '{"ci', id="call_b", name="weather"),
        part(0, '"北京"}'),
        part(1, 'ty": "上海"}'),
        CALLED,
        USAGE,
        DONE,
    )
    chunks = ask(server, stream=stream)
    assert calls(chunks) == [
        ("call_a", "weather", '{"city": "北京"}'),
        ("call_b", "weather", '{"city": "上海"}'),
    ]
    usage = chunks[-1].delta.usage
    assert usage is not None
    assert usage.total_tokens == 7
    assert not stream or chunks[-1].delta.finish_reason == "tool_calls"
    assert json.loads(server.asked(CHAT)[0])["tools"][0]["function"]["name"] == "weather"


def test_no_chunk_holds_a_call_whose_arguments_are_not_whole(server: RawServer) -> None:
    """Dify's agent reads the arguments of every chunk as JSON."""
    server.answers(part(0, '{"a"', id="c", name="weather"), part(0, ": 1}"), CALLED, USAGE, DONE)
    for chunk in ask(server):
        for call in chunk.delta.message.tool_calls:
            assert json.loads(call.function.arguments) == {"a": 1}


def test_text_and_reasoning_before_a_call_are_kept_and_closed(server: RawServer) -> None:
    server.answers(
        delta(reasoning_content="hm"),
        part(0, "{}", id="c", name="weather"),
        CALLED,
        USAGE,
        DONE,
    )
    chunks = ask(server)
    assert text(chunks) == "<think>\nhm\n</think>\n"
    assert calls(chunks) == [("c", "weather", "{}")]


def test_engines_that_send_no_index_or_no_id_are_understood(server: RawServer) -> None:
    server.answers(
        part(None, '{"a": 1}', id="c1", name="weather"),
        part(None, "", id="c2", name="weather"),
        part(None, '{"b": 2}'),
        CALLED,
        DONE,
    )
    assert calls(ask(server)) == [("c1", "weather", '{"a": 1}'), ("c2", "weather", '{"b": 2}')]
    server.answers(part(0, name="weather"), part(1, name="weather"), CALLED, DONE)
    first, second = calls(ask(server))
    assert first[2] == second[2] == "{}"
    assert first[0] != second[0]
    assert first[0].startswith("call_")


@pytest.mark.parametrize("arguments", ["{oops", "[1]", '"x"', "[" * 100_000])
@pytest.mark.parametrize(
    ("reason", "kind"),
    [("tool_calls", InvokeServerUnavailableError), ("length", InvokeBadRequestError)],
)
def test_a_call_that_nobody_could_follow_is_an_error(
    server: RawServer, arguments: str, reason: str, kind: type[InvokeError]
) -> None:
    server.answers(part(0, arguments, id="c", name="weather"), delta(reason), USAGE, DONE)
    with pytest.raises(kind) as caught:
        ask(server)
    assert arguments not in str(caught.value)


def test_a_call_without_a_name_is_an_error(server: RawServer) -> None:
    server.answers(part(0, "{}", id="c"), CALLED, DONE)
    with pytest.raises(InvokeServerUnavailableError):
        ask(server)


def test_calls_count_where_an_engine_sends_no_usage(server: RawServer) -> None:
    server.answers(part(0, '{"city": "北京上海"}', id="c", name="weather"), CALLED, DONE)
    usage = ask(server)[-1].delta.usage
    assert usage is not None
    assert usage.completion_tokens >= 8
    assert usage.prompt_tokens > 5


@pytest.mark.parametrize("format_", ["json_object", "json_schema"])
def test_an_answer_that_is_read_as_json_is_nothing_but_json(
    server: RawServer, format_: str
) -> None:
    """Dify's repair of broken JSON would take the first object that the reasoning mentions."""
    server.answers(
        delta(reasoning_content='maybe {"days": 1}?'),
        delta(content='{"days": '),
        delta(content="12}"),
        delta("stop"),
        USAGE,
        DONE,
    )
    chunks = ask(server, response_format=format_, json_schema='{"type": "object"}')
    assert json.loads(text(chunks)) == {"days": 12}
    sent = json.loads(server.asked(CHAT)[0])["response_format"]
    assert sent["type"] == format_
