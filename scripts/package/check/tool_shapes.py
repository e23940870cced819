"""The shapes of the YAML files of tools and endpoints, as Dify 1.12 and its daemon take them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, HttpUrl

from scripts.package.check.shapes import Icon, Name, Path128, Shape, Tag, Value, Words


class Python(Shape):
    source: Path128


class Extra(Shape):
    python: Python


class Option(Shape):
    value: Annotated[str, Field(min_length=1, max_length=127)]
    label: Words


class Setting(Shape):
    """A field of the tools' or of an endpoint's form."""

    type: Literal[
        "secret-input", "text-input", "select", "boolean", "app-selector", "model-selector", "array[tools]"
    ]  # fmt: skip
    label: Words
    required: bool = False
    default: Value | None = None
    options: Annotated[list[Option], Field(max_length=127)] = []
    placeholder: Words | None = None
    help: Words | None = None
    url: HttpUrl | None = None
    scope: str | None = None


class NamedSetting(Setting):
    name: Annotated[str, Field(min_length=1, max_length=1023)]


class ToolProviderIdentity(Shape):
    author: Annotated[str, Field(min_length=1)]
    name: Name
    label: Words
    description: Words
    icon: Icon
    icon_dark: Icon | None = None
    tags: list[Tag] = []


class ToolProvider(Shape):
    identity: ToolProviderIdentity
    credentials_for_provider: Annotated[dict[Name, Setting], Field(max_length=64)] = {}
    tools: Annotated[list[Path128], Field(min_length=1)]
    extra: Extra


class ToolIdentity(Shape):
    author: Annotated[str, Field(min_length=1)]
    name: Name
    label: Words


class ToolDescription(Shape):
    human: Words
    llm: Annotated[str, Field(min_length=1)]


class Parameter(Shape):
    """`date`, `date-range`, `show_on` and `multiple` are newer than Dify 1.12."""

    name: Annotated[str, Field(min_length=1, max_length=1023)]
    type: Literal[
        "string", "number", "boolean", "select", "secret-input", "file", "files", "app-selector",
        "model-selector", "any", "object", "array", "dynamic-select", "checkbox",
    ]  # fmt: skip
    form: Literal["schema", "form", "llm"]
    label: Words
    human_description: Words
    llm_description: str = ""
    required: bool = False
    default: Value | None = None
    min: float | None = None
    max: float | None = None
    precision: int | None = None
    options: list[Option] = []
    scope: str | None = None


class Output(BaseModel):
    """A property of `output_schema`; the rest of JSON schema is free."""

    type: Literal["string", "number", "integer", "boolean", "object", "array"]
    description: str = ""


class OutputSchema(Shape):
    type: Literal["object"]
    properties: dict[Name, Output]
    required: list[str] = []


class Tool(Shape):
    identity: ToolIdentity
    description: ToolDescription
    parameters: list[Parameter] = []
    output_schema: OutputSchema
    has_runtime_parameters: bool = False
    extra: Extra


class EndpointGroup(Shape):
    settings: Annotated[list[NamedSetting], Field(max_length=64)] = []
    endpoints: Annotated[list[Path128], Field(min_length=1)]


class Endpoint(Shape):
    path: Annotated[str, Field(pattern=r"^/")]
    method: Literal["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS"]
    hidden: bool = False
    extra: Extra
