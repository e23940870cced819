"""What a client may ask of an upstream, and the body that the upstream gets; what passes is listed here alone."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tool_server.errors import BadRequest
from tool_server.model.request import MESSAGES, STOPS, StreamOptions, Unsupported
from tool_server.settings import Settings

# Fields that go to the upstream as they are; it checks their values, and refuses by name what it cannot do.
PASSED = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "chat_template_kwargs",
    "reasoning_effort",
)
# Fields that would change the answer's shape into one we do not pass on, with the values that ask for nothing.
UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
}
# Of a message only these go on: old reasoning and private fields of clients stay here.
MESSAGE_FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id")


class TextPart(BaseModel):
    """A part of a message; text is all that goes on."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["text"]
    text: str


class UpstreamMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None

    def plain(self) -> dict[str, Any]:
        """Content is one text: not every chat template reads parts; `developer` is a newer name of `system`."""
        fields = {name: value for name, value in self if name in MESSAGE_FIELDS}
        if not isinstance(self.content, str | None):
            fields["content"] = "".join(part.text for part in self.content)
        if self.role == "developer":
            fields["role"] = "system"
        return fields


class UpstreamRequest(BaseModel):
    """The body of `POST /v1/chat/completions` for an upstream: what we act on is checked here, the rest there."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[UpstreamMessage] = Field(min_length=1, max_length=MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(value) > STOPS:
            raise ValueError(f"at most {STOPS} stop strings")
        return value

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_we_cannot(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            raise ValueError("send one JSON object")
        for name, harmless in UNSUPPORTED.items():
            if body.get(name) not in (None, *harmless):
                raise Unsupported(name)
        return body

    @property
    def constrained(self) -> bool:
        """Whether the answer must be JSON from its first character on."""
        return self.response_format is not None and self.response_format.get("type") != "text"

    @property
    def thinks(self) -> bool:
        """False where the client switched thinking off."""
        asked = self.chat_template_kwargs or {}
        return bool(asked.get("enable_thinking", True)) and bool(asked.get("thinking", True))


def build_body(settings: Settings, asked: UpstreamRequest, context_tokens: int) -> dict[str, Any]:
    """What the upstream is asked for: always a stream with its usage, within our limits. Raises `BadRequest`."""
    wanted = asked.max_completion_tokens or asked.max_tokens or settings.model_default_max_tokens
    room = max(1, context_tokens - 1) if context_tokens else wanted
    passed = {name: value for name, value in asked if name in PASSED and value is not None}
    if asked.response_format is not None:
        passed["response_format"] = name_schema(asked.response_format)
    if not passed.get(
        "tools"
    ):  # an empty list, or a choice without tools, is refused by some engines
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            passed.pop(name, None)
    body = {
        "messages": [message.plain() for message in asked.messages],
        "max_tokens": min(wanted, settings.model_max_tokens, room),
        "stream": True,
        "stream_options": {"include_usage": True},
        **passed,
    }
    _check_text(body)
    return body


def name_schema(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Dify sends a bare schema where OpenAI's wire has `{name, schema}`."""
    schema = wanted.get("json_schema")
    if wanted.get("type") != "json_schema":
        return wanted
    if not isinstance(schema, dict):
        raise BadRequest(
            "response_format.json_schema: give a JSON schema", param="response_format.json_schema"
        )
    if isinstance(schema.get("schema"), dict):
        return {**wanted, "json_schema": {"name": "answer", **schema}}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def estimate_tokens(texts: Sequence[str]) -> int:
    """A guess for an upstream that counts nothing: four bytes are a token, in English as in Chinese."""
    return max(1, sum(len(text.encode("utf-8", "replace")) for text in texts) // 4)


def _check_text(body: Mapping[str, Any]) -> None:
    """Half characters and infinite numbers are Python's JSON, but nobody else's."""
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise BadRequest("The body holds text or numbers that JSON does not know.") from None
