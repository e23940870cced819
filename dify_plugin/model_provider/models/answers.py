"""Between Dify's messages and the OpenAI wire: the request, the streamed answer, the estimate of tokens; for `llm`."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dify_plugin.entities.model.llm import LLMResult, LLMResultChunk, LLMResultChunkDelta, LLMUsage
from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    PromptMessageTool,
    TextPromptMessageContent,
)
from dify_plugin.errors.model import InvokeBadRequestError
from models.openai_wire import Delta, ModelServer, Usage

if TYPE_CHECKING:
    from dify_plugin import LargeLanguageModel

PARAMETERS = ("temperature", "top_p", "max_tokens")
# DeepSeek's published rule of thumb (api-docs.deepseek.com, "Token & Token Usage"); about 4 more around a message.
HAN_TOKENS = 0.6
LETTER_TOKENS = 0.3
MESSAGE_TOKENS = 4
REASONING = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


def body(
    model: str,
    messages: Sequence[PromptMessage],
    parameters: Mapping[str, Any],
    stop: Sequence[str] | None,
    tools: Sequence[PromptMessageTool] | None,
) -> dict[str, Any]:
    """The request's body. Raises `InvokeBadRequestError` for what this model cannot do."""
    if tools:
        raise InvokeBadRequestError("This model does not call tools yet.")
    known = {name: parameters[name] for name in PARAMETERS if parameters.get(name) is not None}
    return {
        "model": model,
        "messages": [{"role": m.role.value, "content": text_of(m)} for m in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **known,
        **({"stop": list(stop)} if stop else {}),
    }


def text_of(message: PromptMessage) -> str:
    """A message's text; an earlier answer without its reasoning, which Dify hands back with the history.

    Raises `InvokeBadRequestError` for pictures and sound.
    """
    content = message.content or ""
    if not isinstance(content, str):
        if not all(isinstance(part, TextPromptMessageContent) for part in content):
            raise InvokeBadRequestError("This model reads text only.")
        content = "".join(part.data for part in content)
    return REASONING.sub("", content) if isinstance(message, AssistantPromptMessage) else content


def chunks(
    owner: LargeLanguageModel,
    credentials: dict[str, Any],
    messages: Sequence[PromptMessage],
    asked: Mapping[str, Any],
) -> Generator[LLMResultChunk, None, None]:
    """The answer as it comes; reasoning inside `<think>`, as Dify shows it; usage with the last chunk."""
    model, reasoning, reason = asked["model"], False, "stop"
    parts: list[str] = []
    usage: Usage | None = None
    for event in ModelServer.of(credentials).stream(asked):
        usage = event.usage or usage
        for choice in (event.choices or [])[:1]:
            reason = choice.finish_reason or reason
            text, reasoning = _text(choice.delta or Delta(), reasoning)
            if text:
                yield _chunk(model, len(parts), text)
                parts.append(text)
    if usage is None:  # some upstream engines send none
        usage = Usage(prompt_tokens=estimate(messages), completion_tokens=tokens_of("".join(parts)))
    counted = owner._calc_response_usage(
        model, credentials, usage.prompt_tokens, usage.completion_tokens
    )
    end = "\n</think>\n" if reasoning else ""
    yield _chunk(model, len(parts), end, usage=counted, reason=reason)


def joined(model: str, parts: Iterable[LLMResultChunk]) -> LLMResult:
    """The whole answer."""
    texts, usage = [], LLMUsage.empty_usage()
    for part in parts:
        texts.append(str(part.delta.message.content or ""))
        usage = part.delta.usage or usage
    message = AssistantPromptMessage(content="".join(texts))
    return LLMResult(model=model, message=message, usage=usage)


def estimate(messages: Sequence[PromptMessage]) -> int:
    """Tokens of a prompt, without a tokenizer, so that Dify can cut the history; the true count comes as usage."""
    return sum(tokens_of(text_of(message)) + MESSAGE_TOKENS for message in messages)


def tokens_of(text: str) -> int:
    """About how many tokens a text has, rounded up."""
    han = sum(character >= "\u2e80" for character in text)
    return math.ceil(han * HAN_TOKENS + (len(text) - han) * LETTER_TOKENS)


def _text(delta: Delta, reasoning: bool) -> tuple[str, bool]:
    """The delta's text for Dify, and whether a `<think>` block is open after it."""
    text = ""
    if delta.reasoning_content:
        text += delta.reasoning_content if reasoning else f"<think>\n{delta.reasoning_content}"
        reasoning = True
    if delta.content:
        text += f"\n</think>\n{delta.content}" if reasoning else delta.content
        reasoning = False
    return text, reasoning


def _chunk(
    model: str, index: int, text: str, *, usage: LLMUsage | None = None, reason: str | None = None
) -> LLMResultChunk:
    message = AssistantPromptMessage(content=text)
    delta = LLMResultChunkDelta(index=index, message=message, usage=usage, finish_reason=reason)
    return LLMResultChunk(model=model, delta=delta)
