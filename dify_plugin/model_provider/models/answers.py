"""From the streamed answer to Dify's chunks, and to a whole result; for `llm`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dify_plugin.entities.model.llm import LLMResult, LLMResultChunk, LLMResultChunkDelta, LLMUsage
from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    PromptMessageTool,
)
from models import tokens
from models.calls import Calls, ToolCall
from models.faults import guarded
from models.openai_wire import ModelServer
from models.shapes import Delta, Event, Usage

if TYPE_CHECKING:
    from dify_plugin import LargeLanguageModel


@dataclass
class _Answer:
    """What has come so far. `bare` leaves the reasoning out: Dify reads the text of such an answer as JSON."""

    bare: bool
    written: list[str] = field(default_factory=list)
    calls: Calls = field(default_factory=Calls)
    usage: Usage | None = None
    reason: str = "stop"
    thinking: bool = False

    def feed(self, event: Event) -> str:
        """The event's text for Dify."""
        self.usage = event.usage or self.usage
        text = ""
        for choice in (event.choices or [])[:1]:
            self.reason = choice.finish_reason or self.reason
            text += self._text(choice.delta or Delta())
        return text

    def end(self) -> str:
        """An open `<think>` is closed."""
        closed, self.thinking = ("\n</think>\n" if self.thinking else ""), False
        return closed

    def _text(self, delta: Delta) -> str:
        reasoning, content = delta.reasoning_content or "", delta.content or ""
        self.written += [reasoning, content]
        text = ""
        if reasoning and not self.bare:
            text = reasoning if self.thinking else f"<think>\n{reasoning}"
            self.thinking = True
        if delta.tool_calls:
            self.calls.feed(delta.tool_calls)
        return text + self.end() + content if content else text


def chunks(
    owner: LargeLanguageModel,
    credentials: dict[str, Any],
    messages: Sequence[PromptMessage],
    tools: Sequence[PromptMessageTool] | None,
    asked: Mapping[str, Any],
) -> Generator[LLMResultChunk, None, None]:
    """The answer as it comes, reasoning inside `<think>`; then whole tool calls; usage with the last chunk."""
    model, index = asked["model"], 0
    answer = _Answer(bare="response_format" in asked)
    with guarded():
        for event in ModelServer.of(credentials).stream(asked):
            if text := answer.feed(event):
                yield _chunk(model, index, text)
                index += 1
        end, calls = answer.end(), answer.calls.whole(answer.reason)
        if calls:
            yield _chunk(model, index, end, calls=calls)
            end, index = "", index + 1
        count = answer.usage or _estimated(answer, messages, tools)
        usage = owner._calc_response_usage(
            model, credentials, count.prompt_tokens, count.completion_tokens
        )
        yield _chunk(model, index, end, usage=usage, reason=answer.reason)


def joined(model: str, parts: Iterable[LLMResultChunk]) -> LLMResult:
    """The whole answer."""
    texts, calls, usage = [], [], LLMUsage.empty_usage()
    for part in parts:
        texts.append(str(part.delta.message.content or ""))
        calls += part.delta.message.tool_calls
        usage = part.delta.usage or usage
    message = AssistantPromptMessage(content="".join(texts), tool_calls=calls)
    return LLMResult(model=model, message=message, usage=usage)


def _estimated(
    answer: _Answer, messages: Sequence[PromptMessage], tools: Sequence[PromptMessageTool] | None
) -> Usage:
    """Some engines behind the tool server send no usage."""
    written = "".join(answer.written) + answer.calls.text()
    prompt = tokens.of_prompt(messages, tools)
    return Usage(prompt_tokens=prompt, completion_tokens=tokens.of_text(written))


def _chunk(
    model: str,
    index: int,
    text: str,
    *,
    calls: Sequence[ToolCall] = (),
    usage: LLMUsage | None = None,
    reason: str | None = None,
) -> LLMResultChunk:
    message = AssistantPromptMessage(content=text, tool_calls=list(calls))
    delta = LLMResultChunkDelta(index=index, message=message, usage=usage, finish_reason=reason)
    return LLMResultChunk(model=model, delta=delta)
