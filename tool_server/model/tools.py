"""Tools on their way to the model: what its chat template is given, and what it is held to; used by `chat`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tool_server.model.request import ChatRequest, Tool
from tool_server.model.toolcalls import CLOSE, OPEN

# For models whose template knows no tools: the form that most models were trained on.
INSTRUCTION = """\
You may call functions to answer the user. These are their signatures:
<tools>
{signatures}
</tools>
To call a function, reply with one JSON object of its name and arguments inside <tool_call></tool_call> tags:
<tool_call>
{{"name": "<function-name>", "arguments": <args-json-object>}}
</tool_call>"""


def offered(request: ChatRequest) -> list[Tool]:
    """The tools that this answer may call."""
    return [] if request.tool_choice == "none" else request.tools


def forced(request: ChatRequest) -> list[Tool]:
    """The tools of which it must call one."""
    if request.tool_choice == "required":
        return request.tools
    if isinstance(request.tool_choice, str):
        return []
    return [tool for tool in request.tools if tool.function.name == request.tool_choice.name]


def call_schema(tools: Sequence[Tool]) -> str:
    """The JSON schema of a call of one of these, its name first."""
    choices = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.function.name},
                "arguments": tool.function.parameters or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return json.dumps(choices[0] if len(choices) == 1 else {"anyOf": choices}, ensure_ascii=False)


def explained(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool]
) -> list[Mapping[str, Any]]:
    """The messages with the tools and all calls in their text, for a template that knows neither."""
    told = [_as_text(message) for message in messages]
    if not tools:
        return told
    signatures = "\n".join(json.dumps(tool.plain(), ensure_ascii=False) for tool in tools)
    text = INSTRUCTION.format(signatures=signatures)
    if told and told[0]["role"] == "system":
        first = {"role": "system", "content": f"{told[0]['content']}\n\n{text}"}
        return [first, *told[1:]]
    return [{"role": "system", "content": text}, *told]


def _as_text(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message["role"] == "tool":
        return {
            "role": "user",
            "content": f"<tool_response>\n{message['content']}\n</tool_response>",
        }
    if not message.get("tool_calls"):
        return message
    calls = [
        f"{OPEN}\n{json.dumps(call['function'], ensure_ascii=False)}\n{CLOSE}"
        for call in message["tool_calls"]
    ]
    return {"role": "assistant", "content": "\n".join([message["content"] or "", *calls]).strip()}
