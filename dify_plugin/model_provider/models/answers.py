"""Between Dify's messages and the OpenAI wire: the request, the streamed answer, the estimate of tokens; for `llm`."""

from __future__ import annotations

import math
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
from models.openai_wire import ModelServer

if TYPE_CHECKING:
    from dify_plugin import LargeLanguageModel

PARAMETERS = ("temperature", "top_p", "max_tokens")
# Measured on DeepSeek's tokenizers: about 0.6 tokens a Han character, 0.3 a letter of Latin text, and 4 a message.
HAN_TOKENS = 0.6
LETTER_TOKENS = 0.3
MESSAGE_TOKENS = 4


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
    """A message's text. Raises `InvokeBadRequestError` for pictures and sound."""
    content = message.content or ""
    if isinstance(content, str):
        return content
    parts = []
    for part in content:
        if not isinstance(part, TextPromptMessageContent):
            raise InvokeBadRequestError("This model reads text only.")
        parts.append(part.data)
    return "".join(parts)


def chunks(
    owner: LargeLanguageModel, model: str, credentials: dict[str, Any], asked: Mapping[str, Any]
) -> Generator[LLMResultChunk, None, None]:
    """The answer as it comes; reasoning inside `<think>`, as Dify shows it; usage with the last chunk."""
    reasoning, reason, index = False, "stop", 0
    usage: LLMUsage | None = None
    for event in ModelServer.of(credentials).stream(asked):
        if event.get("usage"):
            usage = _usage(owner, model, credentials, event["usage"])
        for choice in event.get("choices", [])[:1]:
            reason = choice.get("finish_reason") or reason
            text, reasoning = _text(choice.get("delta", {}), reasoning)
            if text:
                yield _chunk(model, index, text)
                index += 1
    if usage is None:
        usage = _usage(owner, model, credentials, {})
    yield _chunk(model, index, "\n</think>\n" if reasoning else "", usage=usage, reason=reason)


def joined(model: str, parts: Iterable[LLMResultChunk]) -> LLMResult:
    """The whole answer."""
    texts, usage = [], LLMUsage.empty_usage()
    for part in parts:
        texts.append(str(part.delta.message.content or ""))
        usage = part.delta.usage or usage
    message = AssistantPromptMessage(content="".join(texts))
    return LLMResult(model=model, message=message, usage=usage)


def estimate(messages: Sequence[PromptMessage]) -> int:
    """Tokens of a prompt, without a tokenizer: rounded up, so that Dify cuts history rather too early than too late."""
    total = 0.0
    for message in messages:
        text = text_of(message)
        han = sum(character >= "\u2e80" for character in text)
        total += han * HAN_TOKENS + (len(text) - han) * LETTER_TOKENS + MESSAGE_TOKENS
    return math.ceil(total)


def _text(delta: Mapping[str, Any], reasoning: bool) -> tuple[str, bool]:
    """The delta's text for Dify, and whether a `<think>` block is open after it."""
    thought, content = delta.get("reasoning_content") or "", delta.get("content") or ""
    text = ""
    if thought:
        text += thought if reasoning else f"<think>\n{thought}"
        reasoning = True
    if content:
        text += f"\n</think>\n{content}" if reasoning else content
        reasoning = False
    return text, reasoning


def _usage(
    owner: LargeLanguageModel, model: str, credentials: dict[str, Any], usage: Mapping[str, Any]
) -> LLMUsage:
    prompt, completion = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
    return owner._calc_response_usage(model, credentials, prompt, completion)


def _chunk(
    model: str, index: int, text: str, *, usage: LLMUsage | None = None, reason: str | None = None
) -> LLMResultChunk:
    message = AssistantPromptMessage(content=text)
    delta = LLMResultChunkDelta(index=index, message=message, usage=usage, finish_reason=reason)
    return LLMResultChunk(model=model, delta=delta)
