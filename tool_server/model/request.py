"""What a client may ask for, as OpenAI's clients and Dify's plugins send it; read once by the local backend.

What we cannot do is refused by name: silence would be an answer that looks right.
"""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MESSAGES = 1000
STOPS = 16
TOOLS = 128
CALLS = 128
# A 32-bit seed: what is larger would be cut to something else without a word.
SEEDS = 2**32
# Names that belong to the rendering itself.
RESERVED = frozenset({"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"})
REASONING = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


class Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class ContentPart(Body):
    """A part of a message; text is all that this model reads."""

    type: Literal["text"]
    text: str


class FunctionCall(Body):
    """`arguments` is JSON in a string, as OpenAI has it; some clients send the object itself."""

    name: Annotated[str, Field(max_length=256)]
    arguments: str | dict[str, Any] = ""

    def plain(self) -> dict[str, Any]:
        """With the arguments as an object, where they are one."""
        arguments = self.arguments
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError:
                arguments = self.arguments
        return {"name": self.name, "arguments": arguments}


class ToolCall(Body):
    id: str = ""
    function: FunctionCall


class ChatMessage(Body):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCall] | None = Field(None, max_length=CALLS)
    tool_call_id: str | None = None

    def plain(self) -> dict[str, Any]:
        """As chat templates want it: one text; `developer` is what newer clients call `system`.

        Old reasoning is left out: models are trained without it, and clients send it back as it came.
        """
        content = self.content or ""
        if not isinstance(content, str):
            content = "".join(part.text for part in content)
        if self.role == "assistant":
            content = REASONING.sub("", content)
        message: dict[str, Any] = {"role": self.role, "content": content}
        if self.role == "developer":
            message["role"] = "system"
        if self.tool_calls:
            message["tool_calls"] = [
                {"type": "function", "id": call.id, "function": call.function.plain()}
                for call in self.tool_calls
            ]
        if self.tool_call_id:
            message["tool_call_id"] = self.tool_call_id
        return message


class Function(Body):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str = ""
    parameters: dict[str, Any] | None = None


class Tool(Body):
    type: Literal["function"] = "function"
    function: Function

    def plain(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class NamedFunction(Body):
    name: str


class NamedTool(Body):
    type: Literal["function"] = "function"
    function: NamedFunction

    @property
    def name(self) -> str:
        return self.function.name


class StreamOptions(Body):
    include_usage: bool = True


class ResponseFormat(Body):
    """`json_schema` holds `{name, schema}` as OpenAI has it, or the bare schema as Dify sends it."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _with_a_schema(self) -> "ResponseFormat":
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema: give a schema")
        return self

    def schema_text(self) -> str:
        """The JSON schema that the answer follows; empty for plain text."""
        if self.type == "text":
            return ""
        given = self.json_schema or {"type": "object"}
        if isinstance(given.get("schema"), dict):
            given = given["schema"]
        return json.dumps(given, ensure_ascii=False)


class ThinkingSwitch(Body):
    type: Literal["enabled", "disabled", "auto"]


class ChatRequest(Body):
    """The body of `POST /v1/chat/completions`. Unknown fields, and those that change nothing here, are passed over."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=-1, le=1_000_000)
    seed: int | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    tools: list[Tool] = Field(default_factory=list, max_length=TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedTool = "auto"
    response_format: ResponseFormat | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    enable_thinking: bool | None = None
    thinking: bool | ThinkingSwitch | None = None
    thinking_budget: int | None = Field(None, ge=0)

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(value) > STOPS:
            raise ValueError(f"at most {STOPS} stop strings")
        return value

    @field_validator("tools", "tool_choice", mode="before")
    @classmethod
    def _null_is_nothing(cls, value: Any, info: Any) -> Any:
        return ([] if info.field_name == "tools" else "auto") if value is None else value

    @field_validator("chat_template_kwargs")
    @classmethod
    def _not_ours(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in RESERVED & (value or {}).keys():
            raise ValueError(f"{name} is not yours to set")
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

    @model_validator(mode="after")
    def _fitting_together(self) -> "ChatRequest":
        named = None if isinstance(self.tool_choice, str) else self.tool_choice.name
        if named is not None and named not in {tool.function.name for tool in self.tools}:
            raise Unfitting("tool_choice", "there is no such tool")
        if self.tool_choice == "required" and not self.tools:
            raise Unfitting("tool_choice", "there are no tools")
        if self.schema_text() and self.tools and self.tool_choice != "none":
            raise Unfitting("response_format", "together with tools only with tool_choice none")
        return self

    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    def wanted_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def schema_text(self) -> str:
        return "" if self.response_format is None else self.response_format.schema_text()

    def thinks(self) -> bool | None:
        """Whether thinking was switched on or off; None leaves it to the model."""
        options = self.chat_template_kwargs or {}
        switch = self.thinking
        if isinstance(switch, ThinkingSwitch):
            switch = None if switch.type == "auto" else switch.type == "enabled"
        given = (self.enable_thinking, switch, options.get("enable_thinking"), options.get("thinking"))  # fmt: skip
        return next((bool(value) for value in given if value is not None), None)


class Unsupported(ValueError):
    """A field that this server does not act on, set to something that would change the answer."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}: this server does not support it")
        self.field = field


class Unfitting(ValueError):
    """A field that does not go with another one."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


# Fields that would change the answer if we acted on them, with the values that ask for nothing.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
}
