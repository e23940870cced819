"""The shapes of the YAML files of a model provider, as Dify 1.12 and its daemon take them."""

from typing import Annotated, Literal

from pydantic import Field, HttpUrl, model_validator

from scripts.package.check.shapes import Icon, Path128, Shape, Value, Words

type ModelKind = Literal["llm", "text-embedding", "rerank", "speech2text", "tts", "moderation"]


class ShowOn(Shape):
    variable: Annotated[str, Field(min_length=1, max_length=255)]
    value: Annotated[str, Field(min_length=1, max_length=255)]


class FormOption(Shape):
    value: Annotated[str, Field(min_length=1, max_length=255)]
    label: Words
    show_on: Annotated[list[ShowOn], Field(max_length=16)] = []


class FormItem(Shape):
    """A field of a model's form. The SDK takes an unsaid `required` as true, Dify as false: it has to be said."""

    variable: Annotated[str, Field(min_length=1, max_length=255)]
    label: Words
    type: Literal["text-input", "secret-input", "select", "radio", "switch"]
    required: bool
    default: Annotated[str, Field(max_length=255)] | None = None
    options: Annotated[list[FormOption], Field(max_length=128)] = []
    placeholder: Words | None = None
    help: Words | None = None
    url: HttpUrl | None = None
    max_length: int = 0
    show_on: Annotated[list[ShowOn], Field(max_length=16)] = []


type Form = Annotated[list[FormItem], Field(max_length=32)]


class ProviderForm(Shape):
    credential_form_schemas: Form


class ModelNameField(Shape):
    label: Words
    placeholder: Words | None = None


class ModelForm(Shape):
    model: ModelNameField
    credential_form_schemas: Form


class Help(Shape):
    title: Words
    url: Words


class Icons(Shape):
    en_US: Icon
    zh_Hans: Icon | None = None


class Predefined(Shape):
    predefined: Annotated[list[str], Field(min_length=1)]
    position: Annotated[str, Field(pattern=r"_position\.yaml$")] | None = None


class ModelFiles(Shape):
    llm: Predefined | None = None
    text_embedding: Predefined | None = None
    rerank: Predefined | None = None
    speech2text: Predefined | None = None
    tts: Predefined | None = None
    moderation: Predefined | None = None


class ModelPython(Shape):
    provider_source: Path128
    model_sources: Annotated[list[Path128], Field(min_length=1)]


class ModelExtra(Shape):
    python: ModelPython


class ModelProvider(Shape):
    provider: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")]
    label: Words
    description: Words | None = None
    icon_small: Icons
    icon_large: Icons
    icon_small_dark: Icons | None = None
    icon_large_dark: Icons | None = None
    background: str | None = None
    help: Help | None = None
    supported_model_types: Annotated[list[ModelKind], Field(min_length=1, max_length=16)]
    configurate_methods: Annotated[
        list[Literal["predefined-model", "customizable-model"]], Field(min_length=1)
    ]
    provider_credential_schema: ProviderForm | None = None
    model_credential_schema: ModelForm | None = None
    models: ModelFiles
    extra: ModelExtra


class ParameterRule(Shape):
    name: Annotated[str, Field(min_length=1, max_length=255)]
    use_template: Literal[
        "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "max_tokens",
        "response_format", "json_schema",
    ] | None = None  # fmt: skip
    type: Literal["float", "int", "string", "boolean", "text"] | None = None
    label: Words | None = None
    help: Words | None = None
    required: bool = False
    default: Value | None = None
    min: float | None = None
    max: float | None = None
    precision: int | None = None
    options: list[Annotated[str, Field(max_length=255)]] = []

    @model_validator(mode="after")
    def _described(self) -> "ParameterRule":
        if self.use_template is None and (self.type is None or self.label is None):
            raise ValueError("a rule without use_template needs type and label")
        return self


class Price(Shape):
    input: str
    output: str | None = None
    unit: str
    currency: str


class Model(Shape):
    model: Annotated[str, Field(min_length=1, max_length=255)]
    label: Words
    model_type: ModelKind
    features: list[
        Literal[
            "tool-call", "multi-tool-call", "stream-tool-call", "agent-thought", "vision", "document", "video",
            "audio", "structured-output", "polling",
        ]
    ] = []  # fmt: skip
    model_properties: dict[str, str | int | float | bool | list[str]] = {}
    parameter_rules: Annotated[list[ParameterRule], Field(max_length=128)] = []
    pricing: Price | None = None
    fetch_from: Literal["predefined-model", "customizable-model"] | None = None
    deprecated: bool = False
