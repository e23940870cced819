"""From Dify's messages, tools and parameters to the body of a chat request; for `llm`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    PromptMessageTool,
    TextPromptMessageContent,
    ToolPromptMessage,
)
from dify_plugin.errors.model import InvokeBadRequestError

PARAMETERS = ("temperature", "top_p", "max_tokens")
REASONING = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


def body(
    model: str,
    messages: Sequence[PromptMessage],
    parameters: Mapping[str, Any],
    stop: Sequence[str] | None = None,
    tools: Sequence[PromptMessageTool] | None = None,
) -> dict[str, Any]:
    """The request; always streamed, whole answers are put together here. Raises `InvokeBadRequestError`."""
    optional = {
        **{name: parameters.get(name) for name in PARAMETERS},
        "stop": list(stop or ()) or None,
        "tools": [_tool(tool) for tool in tools or ()] or None,
        "response_format": _format(parameters),
        "chat_template_kwargs": _template(parameters),
    }
    return {
        "model": model,
        "messages": [_message(message) for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value is not None},
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


def _message(message: PromptMessage) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": message.role.value, "content": text_of(message)}
    if isinstance(message, AssistantPromptMessage) and message.tool_calls:
        sent["tool_calls"] = [_call(call) for call in message.tool_calls]
        sent["content"] = sent["content"] or None  # chat templates tell a mere call by this
    elif isinstance(message, ToolPromptMessage):
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _call(call: AssistantPromptMessage.ToolCall) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: PromptMessageTool) -> dict[str, Any]:
    return {"type": "function", "function": tool.model_dump()}


def _template(parameters: Mapping[str, Any]) -> dict[str, bool] | None:
    thinking = parameters.get("enable_thinking")
    return None if thinking is None else {"enable_thinking": bool(thinking)}


def _format(parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Dify's node for structured output sets both parameters; a person may set them by hand."""
    match parameters.get("response_format"):
        case None | "" | "text":
            return None
        case "json_schema":
            schema = _schema(parameters.get("json_schema"))
            return {"type": "json_schema", "json_schema": schema}
        case kind:
            return {"type": kind}


def _schema(written: object) -> dict[str, Any]:
    """With a name, as OpenAI wants it; people enter a bare schema or `{name, schema}`."""
    try:
        schema = json.loads(str(written or ""))
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        raise InvokeBadRequestError("json_schema: enter a JSON schema, which is a JSON object.")
    if isinstance(schema.get("schema"), dict) and "type" not in schema:
        return {"name": "answer", **schema}
    return {"name": "answer", "schema": schema}
