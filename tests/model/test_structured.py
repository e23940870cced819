"""JSON schemas, tools, seeds and the thinking switch over the wire, with the official client."""

import json
from typing import Any

import openai
import pytest

from tests.model.conftest import Server

SCHEMA = {
    "type": "object",
    "properties": {
        "days": {"type": "integer", "minimum": 0, "maximum": 30},
        "kind": {"enum": ["annual", "sick"]},
    },
    "required": ["days", "kind"],
    "additionalProperties": False,
}
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["上海", "Berlin"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "weather", "parameters": CITY}},
    {"type": "function", "function": {"name": "clock"}},
]
MESSAGES: list[Any] = [{"role": "user", "content": "the quick brown fox"}]
FORMATS: list[Any] = [
    {"type": "json_schema", "json_schema": {"name": "leave", "schema": SCHEMA}},
    {"type": "json_schema", "json_schema": SCHEMA},
]
WRONG = {"type": "json_schema", "json_schema": {"schema": {"type": "no such type"}}}


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    key = server.http.headers["Authorization"].removeprefix("Bearer ")
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(
        model="private-deepseek", messages=MESSAGES, **({"max_tokens": 200} | more)
    )


@pytest.mark.parametrize("wanted", FORMATS, ids=["named", "bare"])
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_an_answer_follows_its_schema(
    client: openai.OpenAI, wanted: Any, temperature: float
) -> None:
    given = ask(client, response_format=wanted, temperature=temperature).choices[0]
    answer = json.loads(given.message.content)
    assert set(answer) == {"days", "kind"}
    assert 0 <= answer["days"] <= 30
    assert given.finish_reason == "stop"


def test_a_streamed_answer_follows_its_schema_after_the_reasoning(client: openai.OpenAI) -> None:
    chunks = list(
        ask(
            client,
            response_format=FORMATS[0],
            stream=True,
            extra_body={"chat_template_kwargs": {"thinking": True}, "thinking_budget": 10},
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert set(json.loads("".join(delta.content or "" for delta in deltas))) == {"days", "kind"}
    assert any(getattr(delta, "reasoning_content", None) for delta in deltas)


def test_a_json_object_is_one(client: openai.OpenAI) -> None:
    given = ask(client, response_format={"type": "json_object"}, temperature=0.9).choices[0]
    if given.finish_reason == "stop":  # a random model may go on to the limit
        assert isinstance(json.loads(given.message.content), dict)
    assert given.message.content.startswith("{")


def test_a_tool_that_must_be_called_is_called(client: openai.OpenAI) -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    given = ask(client, tools=TOOLS, tool_choice=choice).choices[0]
    (call,) = given.message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("上海", "Berlin")
    assert call.id.startswith("call_")
    assert given.finish_reason == "tool_calls"
    assert given.message.content == ""


def test_a_required_call_streams_its_name_first(client: openai.OpenAI) -> None:
    chunks = [
        chunk
        for chunk in ask(client, tools=TOOLS[:1], tool_choice="required", stream=True)
        if chunk.choices
    ]
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].function.name == "weather"
    assert calls[0].id
    assert {call.index for call in calls} == {0}
    assert json.loads("".join(call.function.arguments or "" for call in calls))
    assert not any(chunk.choices[0].delta.content for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_conversation_with_calls_goes_on(client: openai.OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    given = client.chat.completions.create(
        model="private-deepseek", messages=messages, tools=TOOLS, max_tokens=4
    )
    assert given.usage is not None
    assert given.usage.completion_tokens == 4


def test_a_seed_repeats_an_answer(client: openai.OpenAI) -> None:
    texts = {
        ask(client, seed=11, temperature=1.5, max_tokens=20).choices[0].message.content
        for _ in range(3)
    }
    others = {
        ask(client, seed=number, temperature=1.5, max_tokens=20).choices[0].message.content
        for number in range(3)
    }
    assert len(texts) == 1
    assert len(others) == 3


def test_thinking_is_switched_and_bounded(client: openai.OpenAI) -> None:
    on = ask(client, extra_body={"enable_thinking": True, "thinking_budget": 5}, max_tokens=30)
    off = ask(client, extra_body={"thinking": {"type": "disabled"}}, max_tokens=30)
    assert on.choices[0].message.reasoning_content
    assert on.choices[0].message.content
    assert not getattr(off.choices[0].message, "reasoning_content", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": WRONG}, "response_format.json_schema"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"n": 2}, "n"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logprobs": True}, "logprobs"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(
    server: Server, body: dict[str, Any], field: str
) -> None:
    refused = server.chat(**body)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["param"] == field
    assert field in error["message"]
