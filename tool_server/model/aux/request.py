"""What clients may ask the auxiliary models for, as OpenAI's and Jina's clients send it; read once by `routes`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from tool_server.errors import BadRequest

FORMATS = ("json", "text", "verbose_json")
# Form fields that change nothing here, or only when they are set to these.
HARMLESS: dict[str, tuple[str, ...] | None] = {
    "user": None,
    "stream": ("false", ""),
    "prompt": ("",),
    "timestamp_granularities[]": ("segment",),
}
# No vocabulary is larger; the model itself knows how large its own is.
TOKEN_LIMIT = 2**31
READ = ("model", "language", "response_format", "temperature")


def _encodable(text: str) -> str:
    """A lone half of a surrogate pair is a str in Python, and no text for anybody else."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not Unicode text") from None
    return text


type Unicode = Annotated[str, AfterValidator(_encodable)]


class EmbeddingRequest(BaseModel):
    """The body of `POST /v1/embeddings`."""

    model_config = ConfigDict(extra="ignore")

    model: Unicode
    input: list[str] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1)

    @field_validator("input", mode="plain")
    @classmethod
    def _inputs(cls, value: Any) -> list[str] | list[list[int]]:
        """One text, several, the tokens of one, or of several; always a list from here on."""
        if isinstance(value, str) or _is_tokens(value):
            value = [value]
        if not isinstance(value, list) or not value:
            raise ValueError("send a text, a list of texts, or lists of tokens")
        kind = str if isinstance(value[0], str) else list
        for index, entry in enumerate(value):
            _check_input(index, entry, kind)
        return value


class RerankRequest(BaseModel):
    """The body of `POST /v1/rerank`, in Jina's shape."""

    model_config = ConfigDict(extra="ignore")

    model: Unicode
    query: Unicode = Field(min_length=1)
    documents: list[Unicode] = Field(min_length=1)
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = True

    @field_validator("documents", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """A document is a text, or an object with one."""
        if not isinstance(value, list):
            return value
        return [entry.get("text") if isinstance(entry, dict) else entry for entry in value]


class TranscriptionForm(BaseModel):
    """The fields of `POST /v1/audio/transcriptions`, without the file."""

    model_config = ConfigDict(extra="ignore")

    model: Unicode
    language: str = Field("", pattern=r"^([A-Za-z]{2,3}([-_][A-Za-z]+)?)?$")
    response_format: Literal["json", "text", "verbose_json"] = "json"
    temperature: float = Field(0.0, ge=0, le=1)


def read_form(fields: dict[str, list[str]]) -> TranscriptionForm:
    """The form, checked. Raises `BadRequest` naming what is not supported, and `ValidationError`."""
    for name, values in fields.items():
        if name in READ:
            continue
        allowed = HARMLESS.get(name, ())
        if allowed is not None and any(value.lower() not in allowed for value in values):
            raise BadRequest(
                f"{name[:64]}: this server does not support it",
                code="unsupported_parameter",
                param=name[:64],
            )
    return TranscriptionForm.model_validate(
        {name: fields[name][0] for name in READ if name in fields}
    )


def _is_tokens(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(type(token) is int and 0 <= token < TOKEN_LIMIT for token in value)


def _check_input(index: int, entry: Any, kind: type) -> None:
    if not isinstance(entry, kind) or not entry:
        raise ValueError(f"entry {index} is empty or of another kind than the first")
    if isinstance(entry, str):
        try:
            _encodable(entry)
        except ValueError:
            raise ValueError(f"entry {index} is not Unicode text") from None
    elif not _is_tokens(entry):
        raise ValueError(f"entry {index} is no list of tokens")
