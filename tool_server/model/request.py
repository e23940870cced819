"""What a client may ask for, as OpenAI's clients and Dify's plugins send it; read once by `routes`.

What we cannot do is refused by name: silence would be an answer that looks right.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MESSAGES = 1000
STOPS = 16


class ContentPart(BaseModel):
    """A part of a message; text is all that this model reads."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart] | None = None

    def plain(self) -> dict[str, str]:
        """As chat templates want it: one text; `developer` is what newer clients call `system`."""
        content = self.content or ""
        if not isinstance(content, str):
            content = "".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")

    include_usage: bool = True


class ResponseFormat(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: Literal["text"]


class ChatRequest(BaseModel):
    """The body of `POST /v1/chat/completions`. Unknown fields, and those that change nothing here, are passed over."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    response_format: ResponseFormat | None = None
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

    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    def wanted_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class Unsupported(ValueError):
    """A field that this server does not act on, set to something that would change the answer."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field}: this server does not support it")
        self.field = field


# Fields that would change the answer if we acted on them, with the values that ask for nothing.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "seed": (),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
}
