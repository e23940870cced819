"""Answers in OpenAI's shapes, streamed and whole; called by the routes.

Frames are exactly `data: …` and an empty line, signs of life are comments: Dify's parser ends at anything else.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tool_server.errors import ApiError
from tool_server.model.backend import Part, Running, ToolDelta

DONE = "data: [DONE]\n\n"
ALIVE = ": alive\n\n"
CALLS = 128  # tool calls of one answer
encode = json.JSONEncoder(ensure_ascii=False).encode  # one for all: `json.dumps` makes one a call


def stream(answer: Running, model: str, gone: Callable[[], bool], *, usage: bool) -> Iterator[str]:
    """Server-sent events, the last with the usage; an engine that fails ends them with an error object."""
    head = {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }
    opening = encode(head)[:-1]  # the same in each event of an answer
    yield _chunk(opening, {"role": "assistant", "content": ""})
    try:
        for piece in answer.pieces(gone):
            yield ALIVE if piece is None else _chunk(opening, _delta(piece))
    except ApiError as error:
        yield _event(error.openai())
        yield DONE
        return
    if not answer.complete:  # nobody reads any more
        return
    yield _chunk(opening, {}, answer.finish_reason)
    if usage:
        yield _event({**head, "choices": [], "usage": count(answer)})
    yield DONE


def whole(answer: Running, model: str, gone: Callable[[], bool]) -> dict[str, Any]:
    """One body. Raises `EngineFailed`, and `ClientGone` when nobody waits for it any more."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for piece in answer.pieces(gone):
        if piece is not None:
            _add(message, piece)
    if not answer.complete:
        raise ClientGone("The client went away.")
    return {
        "id": answer.id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": answer.finish_reason,
                "logprobs": None,
            }
        ],
        "usage": count(answer),
    }


class ClientGone(ApiError):
    """Nobody will read this."""

    status = 499
    code = "client_gone"


def count(answer: Running) -> dict[str, int]:
    """Tokens of prompt and answer."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _delta(part: Part) -> dict[str, Any]:
    """A part as a stream's delta: a call's id and name come with its first fragment only."""
    if not isinstance(part, ToolDelta):
        return {"reasoning_content" if part.reasoning else "content": part.text}
    function: dict[str, str] = {"arguments": part.arguments}
    call: dict[str, Any] = {"index": part.index, "function": function}
    if part.name:
        function["name"] = part.name
    if part.id:
        call |= {"id": part.id, "type": "function"}
    return {"tool_calls": [call]}


def _add(message: dict[str, Any], part: Part) -> None:
    """A part at the end of a whole message."""
    if not isinstance(part, ToolDelta):
        field = "reasoning_content" if part.reasoning else "content"
        message[field] = message.get(field, "") + part.text
        return
    calls = message.setdefault("tool_calls", [])
    while len(calls) <= min(part.index, CALLS):
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[min(part.index, CALLS)]
    call["id"] = call["id"] or part.id
    call["function"]["name"] += part.name
    call["function"]["arguments"] += part.arguments


def _chunk(opening: str, delta: dict[str, Any], finish: str | None = None) -> str:
    """An event with one choice; `opening` is the encoded object without its closing brace."""
    text = encode(delta)
    reason = "null" if finish is None else encode(finish)
    return f'data: {opening}, "choices": [{{"index": 0, "delta": {text}, "finish_reason": {reason}}}]}}\n\n'


def _event(body: dict[str, Any]) -> str:
    return f"data: {encode(body)}\n\n"
