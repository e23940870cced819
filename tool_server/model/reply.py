"""Answers in OpenAI's shapes, streamed and whole; called by the routes.

Frames are exactly `data: …` and an empty line, signs of life are comments: Dify's parser ends at anything else.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tool_server.errors import ApiError
from tool_server.model.chat import Answer, EngineFailed, pieces
from tool_server.model.text import Piece

DONE = "data: [DONE]\n\n"
ALIVE = ": alive\n\n"


def stream(answer: Answer, model: str, *, usage: bool) -> Iterator[str]:
    """Server-sent events, the last with the usage; an engine that fails ends them with an error object."""
    head = {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }
    yield _chunk(head, {"role": "assistant", "content": ""})
    try:
        for piece in pieces(answer):
            yield ALIVE if piece is None else _chunk(head, {_field(piece): piece.text})
    except EngineFailed as error:
        yield _event(error.openai())
        yield DONE
        return
    yield _chunk(head, {}, answer.finish_reason)
    if usage:
        yield _event({**head, "choices": [], "usage": count(answer)})
    yield DONE


def whole(answer: Answer, model: str, gone: Callable[[], bool]) -> dict[str, Any]:
    """One body. Raises `EngineFailed`, and `ClientGone` when nobody waits for it any more."""
    texts: dict[str, str] = {"content": ""}
    for piece in pieces(answer, gone):
        if piece is not None:
            texts[_field(piece)] = texts.get(_field(piece), "") + piece.text
    if answer.finish is None and not answer.stops.hit:
        raise ClientGone("The client went away.")
    return {
        "id": answer.id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", **texts},
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


def count(answer: Answer) -> dict[str, int]:
    """Tokens of prompt and answer."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _field(piece: Piece) -> str:
    return "reasoning_content" if piece.reasoning else "content"


def _chunk(head: dict[str, Any], delta: dict[str, str], finish: str | None = None) -> str:
    return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
