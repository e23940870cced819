"""From a request to the prompt's tokens: chat template, tools, the thinking switch; used by `chat`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tool_server.errors import BadRequest
from tool_server.model import tools
from tool_server.model.request import ChatRequest
from tool_server.model.text import CLOSE, OPEN
from tool_server.model.tokenizer import ChatTokenizer
from tool_server.model.toolcalls import OPEN as OPEN_CALL

# No tokenizer has tokens of so many characters on the average; longer prompts are refused without being tokenised.
TOKEN_CHARACTERS = 32
# A block that is closed at once: the models answer without thinking.
NO_THOUGHT = "\n\n</think>\n\n"


@dataclass(frozen=True)
class Prompt:
    """`lead` is the beginning of the answer that the prompt has anticipated; `schema` is what the rest must follow."""

    tokens: list[int]
    inside: bool
    schema: str = ""
    lead: str = ""


def build(tokenizer: ChatTokenizer, request: ChatRequest, *, most: int) -> Prompt:
    """The prompt of a request, of at most `most` tokens. Raises `BadRequest`."""
    must_call = tools.forced(request)
    schema = tools.call_schema(must_call) if must_call else request.schema_text()
    text = render(tokenizer, request)
    inside = ends_inside(text)
    # Where reasoning cannot be told from the answer, a grammar would hold it too.
    if inside and (must_call or request.thinks() is False or (schema and tokenizer.think is None)):
        text, inside = text.rstrip() + NO_THOUGHT, False
    lead = f"{OPEN_CALL}\n" if must_call else ""
    text += lead
    if len(text) > most * TOKEN_CHARACTERS:
        raise too_long(f"more than {most}", most)
    tokens = tokenizer.encode(text)
    if len(tokens) > most:
        raise too_long(str(len(tokens)), most)
    return Prompt(tokens, inside, schema, lead)


def render(tokenizer: ChatTokenizer, request: ChatRequest) -> str:
    """The prompt's text, by the checkpoint's own chat template."""
    messages = [
        {**plain, "content": tokenizer.defuse(plain["content"])}
        for plain in (message.plain() for message in request.messages)
    ]
    offered = tools.offered(request)
    options = dict(request.chat_template_kwargs or {})
    if (thinks := request.thinks()) is not None:
        options |= {"enable_thinking": thinks, "thinking": thinks}
    if not tokenizer.knows_tools:
        return tokenizer.render(tools.explained(messages, offered), **options)
    given = [tool.plain() for tool in offered] or None
    try:
        return tokenizer.render(messages, tools=given, **options)
    except BadRequest:
        if not any("tool_calls" in message for message in messages):
            raise
    # Some templates put the arguments together as text (DeepSeek V3.1); most want an object.
    return tokenizer.render(list(map(_with_text_arguments, messages)), tools=given, **options)


def _with_text_arguments(message: Mapping[str, Any]) -> Mapping[str, Any]:
    calls = [
        {
            **call,
            "function": {**call["function"], "arguments": _as_json(call["function"]["arguments"])},
        }
        for call in message.get("tool_calls", ())
    ]
    return {**message, "tool_calls": calls} if calls else message


def _as_json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def ends_inside(text: str) -> bool:
    """Whether the prompt has opened a thought, as R1's template does."""
    return text.rstrip().endswith(OPEN) and text.rfind(OPEN) > text.rfind(CLOSE)


def too_long(count: str, most: int) -> BadRequest:
    return BadRequest(
        f"messages: {count} tokens are too many; this model takes {most}.",
        code="context_length_exceeded",
        param="messages",
    )
