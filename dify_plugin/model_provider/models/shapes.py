"""What the tool server sends, read once where it comes in; fields that nobody here needs are passed over."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class Wire(BaseModel):
    # A number that is none would break the line of JSON that goes to Dify.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Model(Wire):
    """A served model; `type` is Dify's name for it. Tool servers that list a model without one serve chat alone."""

    id: str
    type: str = "llm"
    context_length: PositiveInt | None = None
    max_output_tokens: PositiveInt | None = None
    features: list[str] | None = None
    dimensions: PositiveInt | None = None
    max_batch: PositiveInt | None = None


class Models(Wire):
    data: list[Model]


class FunctionPart(Wire):
    name: str | None = None
    arguments: str | None = None


class CallPart(Wire):
    """A piece of a tool call: id and name come first, then its arguments bit by bit, told apart by `index`."""

    index: int | None = None
    id: str | None = None
    function: FunctionPart | None = None


class Delta(Wire):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CallPart] | None = None


class Choice(Wire):
    delta: Delta | None = None
    finish_reason: str | None = None


class Usage(Wire):
    prompt_tokens: int
    completion_tokens: int = 0


class Fault(Wire):
    message: str


class Failed(Wire):
    """The body of an error."""

    error: Fault


class Event(Wire):
    """One event of a completion. The last ones carry the reason for the end, and the usage."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Fault | None = None


class Vector(Wire):
    index: int
    embedding: list[float]


class Embeddings(Wire):
    """`usage` is missing with some engines behind the tool server."""

    data: list[Vector]
    usage: Usage | None = None


class Rank(Wire):
    index: int
    relevance_score: float


class Ranking(Wire):
    results: list[Rank]


class Transcript(Wire):
    text: str


class Verdict(Wire):
    flagged: bool


class Moderation(Wire):
    """A text has one result, or one for each part of it."""

    results: list[Verdict] = Field(min_length=1)

    @property
    def flagged(self) -> bool:
        return any(verdict.flagged for verdict in self.results)
