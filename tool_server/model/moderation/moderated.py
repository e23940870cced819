"""An answer of any backend, checked on its way out; and the messages of its request, cleaned on their way in."""

from collections.abc import Callable, Iterator
from typing import Any

from tool_server.model.backend import Asked, Backend, Part, Running
from tool_server.model.moderation.answers import AnswerScreen
from tool_server.model.moderation.clean import clean
from tool_server.model.moderation.service import Moderation
from tool_server.model.text import Piece


def moderated(moderation: Moderation, asked: Asked, backend: Backend[Any]) -> Running:
    """Start an answer whose text passes the checks. Raises what `Backend.start` raises."""
    for message in asked.messages:
        if isinstance(message.content, str):
            message.content = clean(message.content)
        for part in message.content if isinstance(message.content, list) else ():
            part.text = clean(part.text)
    prompt = str(asked.messages[-1].plain().get("content") or "")
    answer = backend.start(asked)
    if not moderation.available:
        return answer
    return Moderated(answer, moderation.screen(prompt, stream=asked.stream))


class Moderated:
    """See `backend.Running`. Arguments of tool calls are for programs, and pass as they are."""

    def __init__(self, answer: Running, screen: AnswerScreen) -> None:
        self._answer = answer
        self._screen = screen

    @property
    def id(self) -> str:
        return self._answer.id

    @property
    def prompt_tokens(self) -> int:
        return self._answer.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        return self._answer.completion_tokens

    @property
    def first_token_s(self) -> float | None:
        return self._answer.first_token_s

    @property
    def finish_reason(self) -> str:
        return "content_filter" if self._screen.hit else self._answer.finish_reason

    @property
    def complete(self) -> bool:
        return self._answer.complete or self._screen.hit is not None

    def pieces(self, tick: Callable[[], bool] = lambda: False) -> Iterator[Part | None]:
        """Its parts, as far as they pass. Raises `GuardAway` besides."""
        parts = self._answer.pieces(tick)
        try:
            for part in parts:
                if isinstance(part, Piece):
                    yield from self._screen.feed([part])
                    if self._screen.hit:
                        return
                else:
                    yield part
            yield from self._screen.end()
        finally:
            parts.close()  # type: ignore[attr-defined]  # a generator: ends the work behind it

    def close(self) -> None:
        self._answer.close()
