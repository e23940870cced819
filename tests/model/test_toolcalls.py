"""Tool calls in a model's text: however it is cut, what comes out is the same."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tool_server.model.backend import Part, ToolDelta
from tool_server.model.text import Piece
from tool_server.model.toolcalls import ToolCalls

HERMES = '<tool_call>\n{"name": "weather", "arguments": {"city": "上海", "note": "a } \\" {"}}\n</tool_call>'
TURNED = '<tool_call>{"arguments": {"city": "上海"}, "name": "weather"}</tool_call>'
STRING = '<tool_call>{"name": "weather", "arguments": "{\\"city\\": 1}"}</tool_call>'
R1 = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n"
    '```json\n{"city": "上海"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)
V31 = "<｜tool▁call▁begin｜>weather<｜tool▁sep｜>{}<｜tool▁call▁end｜>"


def read(chunks: list[str]) -> tuple[str, list[tuple[str, str]], list[Part]]:
    """The text, the calls, and all parts."""
    calls = ToolCalls()
    parts = [part for chunk in chunks for part in calls.feed(chunk)]
    parts += calls.end()
    text = "".join(part.text for part in parts if isinstance(part, Piece))
    found: dict[int, list[str]] = {}
    for part in parts:
        if isinstance(part, ToolDelta):
            call = found.setdefault(part.index, ["", ""])
            call[0] += part.name
            call[1] += part.arguments
    return text, [(name, arguments) for name, arguments in found.values()], parts


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (HERMES, {"city": "上海", "note": 'a } " {'}),
        (TURNED, {"city": "上海"}),
        (STRING, {"city": 1}),
        (R1, {"city": "上海"}),
        (V31, {}),
    ],
)
def test_a_call_is_taken_out_of_the_text(text: str, arguments: object) -> None:
    said, [(name, given)], parts = read([f"我查一下。{text}\n"])
    assert said == "我查一下。"
    assert name == "weather"
    assert json.loads(given) == arguments
    first = next(part for part in parts if isinstance(part, ToolDelta))
    assert (first.name, first.arguments) == ("weather", "")
    assert first.id.startswith("call_")


def test_several_calls_have_their_own_index_and_id() -> None:
    _, calls, parts = read([HERMES + "\n" + TURNED + V31])
    assert [name for name, _ in calls] == ["weather"] * 3
    assert len({part.id for part in parts if isinstance(part, ToolDelta) and part.id}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>not json</tool_call>",
        '<tool_call>{"arguments": {}}</tool_call>',
        "a < b <tool",
        "<tool_call>",
        "no call at all",
    ],
)
def test_what_is_no_call_is_shown(text: str) -> None:
    said, calls, _ = read(list(text))
    assert calls == []
    assert text in said or said.startswith(text)


def test_a_call_that_was_cut_short_is_told_as_far_as_it_came() -> None:
    _, [(name, arguments)], _ = read(['<tool_call>{"name": "weather", "arguments": {"city": "上'])
    assert (name, arguments) == ("weather", '{"city": "上')


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([HERMES, TURNED, R1, V31, HERMES + TURNED]), st.integers())
def test_the_cuts_change_nothing(text: str, seed: int) -> None:
    chance = random.Random(seed)
    whole = f"前言 {text} 后记"
    cuts = sorted(chance.sample(range(len(whole)), 8))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(chunks)[:2] == read([whole])[:2]
