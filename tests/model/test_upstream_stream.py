"""Reading an upstream's stream: whatever the chunks and line ends, the same deltas; rubbish is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_server.model.backend import ToolDelta
from tool_server.model.upstream_stream import (
    LINE_LIMIT,
    BadStream,
    Delta,
    EventReader,
    UpstreamError,
    Usage,
    read_event,
)


def event(content: str, finish: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}


def events(body: bytes, size: int) -> list[str]:
    reader = EventReader()
    cut = [body[at : at + size] for at in range(0, len(body), size)]
    return [data for chunk in cut for data in reader.feed(chunk)] + reader.end()


@given(
    st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=6),
    st.integers(1, 40),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_chunks_and_line_ends_change_nothing(
    texts: list[str], size: int, end: str, ascii_only: bool
) -> None:
    lines = [": hello", "retry: 10", ""]
    for text in texts:
        data = json.dumps(event(text), ensure_ascii=ascii_only)
        lines += ["event: message", f"data: {data}", "id: 7", ": alive", ""]
    body = end.join([*lines, ""]).encode()
    read = [delta for data in events(body, size) for delta in read_event(data)]
    assert [delta.content for delta in read] == texts


@given(st.binary(max_size=400), st.integers(1, 50))
def test_rubbish_is_a_bad_stream_or_nothing(body: bytes, size: int) -> None:
    try:
        for data in events(body, size):
            read_event(data)
    except (BadStream, UpstreamError):
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "content",
                        "tool_calls",
                        "function",
                        "usage",
                        "error",
                        "index",
                        "finish_reason",
                        "message",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_json_of_another_shape_is_a_bad_stream_or_nothing(body: object) -> None:
    try:
        deltas = read_event(json.dumps(body))
    except (BadStream, UpstreamError):
        return
    assert all(isinstance(delta, Delta) for delta in deltas)


def test_data_of_several_lines_is_one_event() -> None:
    body = b'data: {"choices": [{"delta":\ndata: {"content": "x"}}]}\n\n'
    (data,) = events(body, 7)
    assert read_event(data) == [Delta(content="x")]


def test_events_without_an_empty_line_between_them_are_read_all_the_same() -> None:
    body = "".join(f"data: {json.dumps(event(text))}\n" for text in "ab").encode()
    (data,) = events(body + b"data: [DONE]\n\n", 9)
    assert [delta.content for delta in read_event(data)] == ["a", "b", ""]
    assert read_event(data)[-1].done


def test_a_last_event_without_its_empty_line_counts() -> None:
    assert events(b"data: [DONE]", 5) == ["[DONE]"]


@pytest.mark.parametrize("size", [1000, 65536])
def test_a_line_over_a_megabyte_is_refused(size: int) -> None:
    with pytest.raises(BadStream, match="long"):
        events(b"data: " + b"x" * (LINE_LIMIT + 70000) + b"\n\n", size)
    with pytest.raises(BadStream, match="long"):
        events((b"data: " + b"x" * 1000 + b"\n") * 1100, size)


@pytest.mark.parametrize("body", [b"<html>", b"  <!DOCTYPE html>\n", b"\n<b>"])
def test_html_is_named(body: bytes) -> None:
    with pytest.raises(BadStream, match="HTML"):
        events(body + b"\n\n", 100)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"error": {"message": "m", "code": 503}}, 503, "m"),
        ({"error": {"message": "m", "code": "400"}}, 400, "m"),
        ({"error": {"message": "m", "code": "busy"}}, 0, "m"),
        ({"error": "m"}, 0, "m"),
        ({"object": "error", "message": "m", "code": 429}, 429, "m"),
    ],
)
def test_an_error_is_known_in_every_shape(
    body: dict[str, object], status: int, message: str
) -> None:
    with pytest.raises(UpstreamError) as error:
        read_event(json.dumps(body))
    assert (error.value.status, error.value.message) == (status, message)


def test_a_delta_holds_all_that_an_event_says() -> None:
    call = {"index": 1, "id": "a", "function": {"name": "f", "arguments": "{"}}
    delta = {"content": "c", "reasoning": "r", "tool_calls": [call]}
    body = {
        "choices": [{"index": 0, "delta": delta, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    assert read_event(json.dumps(body)) == [
        Delta("c", "r", (ToolDelta(1, "a", "f", "{"),), "length", Usage(1, 2))
    ]
