"""The shape of an app's file, DSL 0.5.0, as far as our workflows use it; read by `check`."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from scripts.dsl.nodes import AnyData, Selector, Shape, Text


class Camel(Shape):
    """What the drawing of the graph needs has keys in another style."""

    model_config = ConfigDict(alias_generator=to_camel)


class Point(Shape):
    x: int
    y: int


class Node(Camel):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    data: AnyData
    type: Literal["custom"]
    position: Point
    position_absolute: Point
    source_position: Literal["right"]
    target_position: Literal["left"]
    selected: Literal[False]
    height: int
    width: int


class Edge(Camel):
    class Kinds(Camel):
        is_in_iteration: Literal[False]
        is_in_loop: Literal[False]
        source_type: str
        target_type: str

    id: Text
    source: Text
    source_handle: Text
    target: Text
    target_handle: Literal["target"]
    type: Literal["custom"]
    z_index: int
    data: Kinds


class Environment(Shape):
    id: Text
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    value: str
    value_type: Literal["string"]
    description: str
    selector: Selector


class Graph(Shape):
    nodes: Annotated[list[Node], Field(min_length=2)]
    edges: list[Edge]
    viewport: dict[str, float]


class Upload(Shape):
    enabled: bool
    allowed_file_types: list[Literal["image", "document", "audio", "video"]] = Field(default=[])
    allowed_file_extensions: list[str] = Field(default=[])
    allowed_file_upload_methods: list[Literal["local_file", "remote_url"]] = Field(default=[])
    number_limits: int = 3
    image: dict[str, Any] | None = None  # of older versions of Dify


class Features(Shape):
    class Switch(Shape):
        enabled: bool

    class Speech(Shape):
        enabled: bool
        language: str
        voice: str

    opening_statement: str
    suggested_questions: list[str]
    suggested_questions_after_answer: Switch
    speech_to_text: Switch
    text_to_speech: Speech
    retriever_resource: Switch
    sensitive_word_avoidance: Switch
    file_upload: Upload


class Workflow(Shape):
    graph: Graph
    features: Features
    environment_variables: list[Environment]
    conversation_variables: list[Any]


class App(Shape):
    name: Text
    mode: Literal["advanced-chat", "workflow"]
    description: Text
    icon: Text
    icon_type: Literal["emoji"]
    icon_background: Text
    use_icon_as_answer_icon: bool


class Dependency(Shape):
    """A package, by the identifier that holds its checksum."""

    class Package(Shape):
        plugin_unique_identifier: Annotated[
            str, Field(pattern=r"^[a-z0-9_-]+/[a-z0-9_-]+:\d+\.\d+\.\d+(-\w+)?@[0-9a-f]{64}$")
        ]
        version: Text

    type: Literal["package"]
    value: Package


class AppFile(Shape):
    """The whole file."""

    version: Literal["0.5.0"]
    kind: Literal["app"]
    app: App
    workflow: Workflow
    dependencies: list[Dependency]
