"""The shapes of the nodes' data, DSL 0.5.0, as far as our workflows use it; the file around them is `shapes`.

Node types that need Dify's sandbox (code, template) are left out on purpose: many installations run without it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

type Selector = Annotated[list[str], Field(min_length=2)]
type Text = Annotated[str, Field(min_length=1)]

TYPES: Mapping[str, str] = {
    "text-input": "string",
    "paragraph": "string",
    "select": "string",
    "number": "number",
    "file": "file",
    "file-list": "array[file]",
}


class Shape(BaseModel):
    """A wrong or misspelt key is refused: Dify would drop it without a word."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Retry(Shape):
    """Times in milliseconds, within what Dify's form gives."""

    retry_enabled: bool
    max_retries: int = Field(ge=1, le=10)
    retry_interval: int = Field(ge=100, le=5000)


class Model(Shape):
    provider: str
    name: str
    mode: Literal["chat"]
    completion_params: dict[str, Any]  # checked against the model's own rules


class Context(Shape):
    enabled: bool
    variable_selector: list[str]


class Vision(Shape):
    class Files(Shape):
        detail: Literal["high", "low"]
        variable_selector: Selector

    enabled: bool
    configs: Files | None = None


class Prompt(Shape):
    id: Text
    role: Literal["system", "user", "assistant"]
    text: Text


class Memory(Shape):
    class Window(Shape):
        enabled: bool
        size: int = Field(ge=1, le=100)

    class Prefix(Shape):
        assistant: str
        user: str

    query_prompt_template: Text
    role_prefix: Prefix
    window: Window


class Bound(Shape):
    """What a tool's parameter is set to."""

    type: Literal["mixed", "variable", "constant"]
    value: Any  # checked against the parameter's own type


class Condition(Shape):
    class Sub(Shape):
        class Part(Shape):
            id: Text
            key: Text
            comparison_operator: Text
            value: str | list[str]
            var_type: Text = Field(alias="varType")

        case_id: Text
        logical_operator: Literal["and", "or"]
        conditions: list[Part]

    id: Text
    variable_selector: Selector
    comparison_operator: Text
    value: str
    var_type: Text = Field(alias="varType")
    sub_variable_condition: Sub | None = None


class Case(Shape):
    id: Text
    case_id: Text
    logical_operator: Literal["and", "or"]
    conditions: Annotated[list[Condition], Field(min_length=1)]


class Data(Shape):
    """What all nodes have."""

    title: Text
    desc: str
    selected: Literal[False]


class Fallible(Data):
    """A node that calls something that can be away."""

    error_strategy: Literal["fail-branch"] | None = None
    retry_config: Retry


class Start(Data):
    class Variable(Shape):
        variable: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
        label: Text
        type: Literal["text-input", "paragraph", "select", "number", "file", "file-list"]
        required: bool
        max_length: int
        options: list[str]

    type: Literal["start"]
    variables: list[Variable]


class Answer(Data):
    type: Literal["answer"]
    answer: Text
    variables: list[Any]  # always empty: Dify keeps the key


class End(Data):
    class Output(Shape):
        variable: Text
        value_selector: Selector
        value_type: Text

    type: Literal["end"]
    outputs: Annotated[list[Output], Field(min_length=1)]


class IfElse(Data):
    type: Literal["if-else"]
    cases: Annotated[list[Case], Field(min_length=1)]


class Llm(Fallible):
    class Structured(Shape):
        # A JSON schema; named differently here because the key hides a method of pydantic's.
        definition: dict[str, Any] = Field(alias="schema")

    type: Literal["llm"]
    model: Model
    prompt_template: Annotated[list[Prompt], Field(min_length=1)]
    context: Context
    vision: Vision
    memory: Memory | None = None
    structured_output_enabled: bool
    structured_output: Structured | None = None
    variables: list[Any]  # always empty: Dify keeps the key


class Tool(Fallible):
    type: Literal["tool"]
    provider_id: Text
    provider_name: Text
    provider_type: Literal["builtin"]
    provider_icon: str
    plugin_id: Text
    plugin_unique_identifier: str = ""
    is_team_authorization: bool
    tool_name: Text
    tool_label: Text
    tool_description: Text
    tool_node_version: Literal["2"]
    tool_parameters: dict[str, Bound]
    tool_configurations: dict[str, Bound]
    output_schema: dict[str, Any]  # checked against the package's own
    params: dict[str, Any]  # of the form alone
    param_schemas: list[Any] = Field(alias="paramSchemas")


class Aggregator(Data):
    type: Literal["variable-aggregator"]
    output_type: Text
    variables: Annotated[list[Selector], Field(min_length=1)]


class ListOperator(Data):
    class Filter(Shape):
        class Part(Shape):
            key: Text
            comparison_operator: Text
            value: list[str]

        enabled: bool
        conditions: list[Part]

    type: Literal["list-operator"]
    variable: Selector
    var_type: Text
    item_var_type: Text
    filter_by: Filter
    extract_by: dict[str, Any]
    limit: dict[str, Any]
    order_by: dict[str, Any]


class DocumentExtractor(Data):
    type: Literal["document-extractor"]
    variable_selector: Selector
    is_array_file: bool


class Retrieval(Data):
    type: Literal["knowledge-retrieval"]
    query_variable_selector: Selector
    dataset_ids: list[str]
    retrieval_mode: Literal["multiple"]
    multiple_retrieval_config: dict[str, Any]


type AnyData = Annotated[
    Start | Answer | End | IfElse | Llm | Tool | Aggregator | ListOperator
    | DocumentExtractor | Retrieval,
    Field(discriminator="type"),
]  # fmt: skip
