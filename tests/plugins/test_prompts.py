"""Package B's chat requests: messages, tools, formats, what is refused before a request is made; and token counts."""

from typing import Any

import pytest
from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    ImagePromptMessageContent,
    PromptMessageTool,
    SystemPromptMessage,
    TextPromptMessageContent,
    ToolPromptMessage,
    UserPromptMessage,
)
from dify_plugin.errors.model import InvokeBadRequestError
from models import prompts, tokens

ASK = [UserPromptMessage(content="q")]
SCHEMA = '{"type": "object", "properties": {"days": {"type": "integer"}}}'
TOOL = PromptMessageTool(
    name="weather", description="Of a city", parameters={"type": "object", "properties": {}}
)


def called(text: str, *, arguments: str = '{"city": "北京"}') -> AssistantPromptMessage:
    kind = AssistantPromptMessage.ToolCall
    function = kind.ToolCallFunction(name="weather", arguments=arguments)
    return AssistantPromptMessage(
        content=text, tool_calls=[kind(id="call_1", type="function", function=function)]
    )


def test_pictures_are_refused_with_a_sentence() -> None:
    picture = ImagePromptMessageContent(format="png", base64_data="x", mime_type="image/png")
    with pytest.raises(InvokeBadRequestError, match="text only"):
        prompts.body("m", [UserPromptMessage(content=[picture])], {})


def test_parts_of_text_become_one_text() -> None:
    parts = [TextPromptMessageContent(data="a"), TextPromptMessageContent(data="b")]
    asked = prompts.body("m", [UserPromptMessage(content=parts)], {"top_k": 3, "top_p": 0.5}, ["x"])
    assert asked["messages"] == [{"role": "user", "content": "ab"}]
    assert (asked["top_p"], asked["stop"], "top_k" in asked) == (0.5, ["x"], False)


def test_nothing_is_sent_that_nobody_set() -> None:
    assert prompts.body("m", ASK, {}, [], []) == {
        "model": "m",
        "messages": [{"role": "user", "content": "q"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_tools_are_sent_as_functions() -> None:
    (tool,) = prompts.body("m", ASK, {}, None, [TOOL])["tools"]
    assert tool == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Of a city",
            "parameters": {"type": "object", "properties": {}},
        },
    }


def test_calls_and_their_results_go_back_with_the_history() -> None:
    history = [
        SystemPromptMessage(content="s"),
        called("<think>\nhm\n</think>\n"),
        ToolPromptMessage(content="晴", tool_call_id="call_1"),
        called("Again.", arguments=""),
    ]
    _, first, result, second = prompts.body("m", history, {})["messages"]
    function = {"name": "weather", "arguments": '{"city": "北京"}'}
    assert first == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    assert result == {"role": "tool", "content": "晴", "tool_call_id": "call_1"}
    assert second["content"] == "Again."
    assert second["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("thinking", [True, False])
def test_thinking_is_switched_in_the_chat_template(thinking: bool) -> None:
    asked = prompts.body("m", ASK, {"enable_thinking": thinking})
    assert asked["chat_template_kwargs"] == {"enable_thinking": thinking}
    assert "enable_thinking" not in asked


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        ({"response_format": "text", "json_schema": SCHEMA}, None),
        ({"json_schema": SCHEMA}, None),
        ({"response_format": "json_object"}, {"type": "json_object"}),
        (
            {"response_format": "json_schema", "json_schema": '{"type": "object"}'},
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}},
            },
        ),
        (
            {"response_format": "json_schema", "json_schema": '{"name": "n", "schema": {}}'},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        ),
        (
            {
                "response_format": "json_schema",
                "json_schema": '{"type": "object", "schema": {"type": "string"}}',
            },
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "answer",
                    "schema": {"type": "object", "schema": {"type": "string"}},
                },
            },
        ),
    ],
)
def test_a_format_is_sent_as_openai_names_it(
    parameters: dict[str, Any], sent: dict[str, Any] | None
) -> None:
    assert prompts.body("m", ASK, parameters).get("response_format") == sent


@pytest.mark.parametrize("written", [None, "", "{oops", "[1]", '"x"', "[" * 100_000])
def test_a_schema_that_is_none_is_refused_by_name(written: str | None) -> None:
    with pytest.raises(InvokeBadRequestError, match="json_schema"):
        prompts.body("m", ASK, {"response_format": "json_schema", "json_schema": written})


def test_the_estimate_grows_with_han_characters_more_than_with_letters() -> None:
    def estimate(text: str) -> int:
        return tokens.of_prompt([UserPromptMessage(content=text)])

    assert estimate("") == 4
    assert estimate("年" * 100) == 64
    assert estimate("a" * 100) == 34


def test_tools_and_calls_count_too() -> None:
    plain = tokens.of_prompt(ASK)
    assert tokens.of_prompt(ASK, [TOOL]) > plain + 20
    assert tokens.of_prompt([called("")]) > tokens.of_prompt([AssistantPromptMessage(content="")])
