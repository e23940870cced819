"""About how many tokens a text has, without a tokenizer, so that Dify can cut it; the true count comes as usage."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    PromptMessageTool,
)
from models.prompts import text_of

# DeepSeek's published rule of thumb (api-docs.deepseek.com, "Token & Token Usage"); about 4 more around a message.
HAN_TOKENS = 0.6
LETTER_TOKENS = 0.3
MESSAGE_TOKENS = 4


def of_text(text: str) -> int:
    """Rounded up."""
    han = sum(character >= "\u2e80" for character in text)
    return math.ceil(han * HAN_TOKENS + (len(text) - han) * LETTER_TOKENS)


def of_prompt(
    messages: Sequence[PromptMessage], tools: Sequence[PromptMessageTool] | None = None
) -> int:
    """The messages, the calls in them, and the tools, which stand in the prompt as JSON."""
    described = sum(of_text(json.dumps(t.model_dump(), ensure_ascii=False)) for t in tools or ())
    return described + sum(_of_message(message) for message in messages)


def _of_message(message: PromptMessage) -> int:
    calls = message.tool_calls if isinstance(message, AssistantPromptMessage) else []
    called = sum(of_text(c.function.name + c.function.arguments) + MESSAGE_TOKENS for c in calls)
    return of_text(text_of(message)) + called + MESSAGE_TOKENS
