"""The shapes of manifest, bundle and signature, as Dify 1.12 and its daemon take them.

A key that is not named here is refused: the daemon ignores it, so that a mistyped one would have no effect.
"""

from datetime import datetime
from typing import Annotated, Literal

from packaging.version import InvalidVersion, Version
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
)

RFC_3339 = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"


def _pep440(version: str) -> str:
    try:
        Version(version)
    except InvalidVersion:
        raise ValueError("not a version as PEP 440 writes them") from None
    return version


def _a_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


type Path128 = Annotated[str, Field(min_length=1, max_length=128)]
type Phrase = Annotated[str, Field(min_length=1, max_length=1023)]
type Icon = Annotated[str, Field(pattern=r"^[^/\\]+$", max_length=128)]
type Time = Annotated[str, Field(pattern=RFC_3339), AfterValidator(_a_time)]
type Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
type Value = str | int | float | bool
type Tag = Literal[
    "search", "image", "videos", "weather", "finance", "design", "travel", "social", "news", "medical",
    "productivity", "education", "business", "entertainment", "utilities", "agent", "rag", "other", "trigger",
]  # fmt: skip


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Words(Shape):
    en_US: Phrase
    zh_Hans: Phrase | None = None
    ja_JP: Phrase | None = None
    pt_BR: Phrase | None = None


class Enabled(Shape):
    enabled: bool


class ModelPermission(Enabled):
    llm: bool = False
    text_embedding: bool = False
    rerank: bool = False
    tts: bool = False
    speech2text: bool = False
    moderation: bool = False


class StoragePermission(Enabled):
    size: Annotated[int, Field(ge=1024, le=1073741824)]


class Permission(Shape):
    tool: Enabled | None = None
    model: ModelPermission | None = None
    node: Enabled | None = None
    endpoint: Enabled | None = None
    app: Enabled | None = None
    storage: StoragePermission | None = None


class Resource(Shape):
    memory: Annotated[int, Field(gt=0)]
    permission: Permission | None = None


class Plugins(Shape):
    tools: list[Path128] = []
    models: list[Path128] = []
    endpoints: list[Path128] = []
    agent_strategies: list[Path128] = []
    datasources: list[Path128] = []
    triggers: list[Path128] = []

    def kinds(self) -> dict[str, list[str]]:
        """The kinds that are present, with their files."""
        return {kind: paths for kind, paths in self if paths}


class Runner(Shape):
    language: Literal["python"]
    version: Annotated[str, Field(min_length=1, max_length=128)]
    entrypoint: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$", max_length=256)]


class Meta(Shape):
    version: Literal["0.0.1"]
    arch: Annotated[list[Literal["amd64", "arm64"]], Field(min_length=1)]
    runner: Runner
    minimum_dify_version: Annotated[str, AfterValidator(_pep440)] | None = None


class Manifest(Shape):
    version: Annotated[
        str, Field(pattern=r"^\d{1,4}(\.\d{1,4}){2}(-\w{1,16})?$"), AfterValidator(_pep440)
    ]
    type: Literal["plugin"]
    author: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,128}$")]
    label: Words
    description: Words
    icon: Icon
    icon_dark: Icon | None = None
    resource: Resource
    plugins: Plugins
    meta: Meta
    created_at: Time
    privacy: Annotated[str, Field(min_length=1)]
    tags: list[Tag] = []
    repo: HttpUrl | None = None
    verified: bool = False
    domains: list[str] = []


class PackagePath(Shape):
    path: Annotated[str, Field(pattern=r"^[^/\\]+\.difypkg$")]


class Dependency(Shape):
    """Of the three types only `package` works without internet."""

    type: Literal["package"]
    value: PackagePath


class Bundle(Shape):
    name: Name
    labels: Words
    description: Words
    icon: Icon
    version: Annotated[str, Field(pattern=r"^\d{1,4}(\.\d{1,4}){2}(-\w{1,16})?$")]
    author: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    type: Literal["bundle"]
    dependencies: Annotated[list[Dependency], Field(min_length=1)]
    tags: list[Tag] = []


class Signature(Shape):
    """The zip's comment of a signed package."""

    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{683}=$")]
    time: Annotated[int, Field(gt=0)]


class Verification(Shape):
    authorized_category: Literal["langgenius", "partner", "community"]


class AppDependency(BaseModel):
    type: str
    value: dict[str, str | None]


class App(BaseModel):
    """Of an app's file only the list of packages that it needs."""

    dependencies: list[AppDependency]
