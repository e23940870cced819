"""An opened package file with what its YAML files declare; the rules look at this."""

import fnmatch
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import yaml
from pydantic import ValidationError

from scripts.package.archive import LIMIT, MANIFEST
from scripts.package.check.model_shapes import Model, ModelProvider
from scripts.package.check.shapes import Manifest, Shape
from scripts.package.check.tool_shapes import Endpoint, EndpointGroup, Tool, ToolProvider


@dataclass(frozen=True)
class Finding:
    """A broken rule, and what breaks it."""

    rule: str
    sentence: str


@dataclass(frozen=True)
class Package:
    """The zip's entries and contents."""

    entries: Sequence[zipfile.ZipInfo]
    files: Mapping[str, bytes]
    comment: bytes

    def text(self, name: str) -> str:
        """Empty for a file that is missing or not text: another rule says so."""
        return self.files.get(name, b"").decode("utf-8", "replace")

    def named(self, ending: str | tuple[str, ...]) -> list[str]:
        return [name for name in self.files if name.endswith(ending)]


@dataclass
class Declared:
    """What the YAML files say, by file name; a file that is missing or misshapen stands in `findings` instead."""

    manifest: Manifest | None = None
    tool_providers: dict[str, ToolProvider] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    groups: dict[str, EndpointGroup] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    model_providers: dict[str, ModelProvider] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class Unreadable(Exception):
    """The file is no zip that Dify reads."""


def opened(content: bytes) -> Package:
    """Raises `Unreadable`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > 12 * LIMIT:
                raise Unreadable("unpacked it is larger than any bundle")
            files = {entry.filename: archive.read(entry) for entry in entries}
            return Package(entries, files, archive.comment)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise Unreadable(str(error)) from None


def declared(package: Package) -> Declared:
    """Follow the manifest to every YAML file that it names."""
    found = Declared()
    found.manifest = _read(package, found, MANIFEST, Manifest, "manifest-fields")
    if found.manifest is None:
        return found
    plugins = found.manifest.plugins
    read = partial(_read_all, package, found)
    found.tool_providers = read(plugins.tools, ToolProvider, "tool-provider-fields")
    for provider in found.tool_providers.values():
        found.tools |= read(provider.tools, Tool, "tool-fields")
    found.groups = read(plugins.endpoints, EndpointGroup, "endpoint-group-fields")
    for group in found.groups.values():
        found.endpoints |= read(group.endpoints, Endpoint, "endpoint-fields")
    found.model_providers = read(plugins.models, ModelProvider, "model-provider-fields")
    for models in found.model_providers.values():
        found.models |= read(list(model_files(package, models)), Model, "model-fields")
    return found


def model_files(package: Package, provider: ModelProvider) -> Iterator[str]:
    """The files of predefined models, as the daemon's patterns find them."""
    for _, kind in provider.models:
        for pattern in kind.predefined if kind else []:
            yield from (
                name
                for name in sorted(package.files)
                if matches(name, pattern) and not name.endswith("_position.yaml")
            )


def matches(name: str, pattern: str) -> bool:
    """As the daemon matches: a star does not cross a slash."""
    return name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern)


def _read_all[S: Shape](
    package: Package, found: Declared, names: Sequence[str], shape: type[S], rule: str
) -> dict[str, S]:
    parsed = {name: _read(package, found, name, shape, rule) for name in names}
    return {name: one for name, one in parsed.items() if one is not None}


def _read[S: Shape](
    package: Package, found: Declared, name: str, shape: type[S], rule: str
) -> S | None:
    if name not in package.files:
        found.findings.append(Finding("named-files", f"{name} is named and not there."))
        return None
    try:
        return shape.model_validate(loaded(package.text(name)))
    except (yaml.YAMLError, ValidationError) as error:
        found.findings += [Finding(rule, f"{name}: {line}") for line in _lines(error)]
        return None


@cache
def loaded(text: str) -> Any:
    """YAML's value, made once for all rules: nobody changes it.

    Raises `yaml.YAMLError` also where a key stands twice: the daemon refuses that.
    """
    return yaml.load(text, _Strict)  # noqa: S506 - a SafeLoader


class _Strict(yaml.CSafeLoader):
    """A time stays the text that it is in the file, as the daemon reads it."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way
        first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"{', '.join(map(str, twice))} stands there twice")
        return super().construct_mapping(node, deep)


def _lines(error: yaml.YAMLError | ValidationError) -> list[str]:
    if isinstance(error, yaml.YAMLError):
        return [" ".join(str(error).split())]
    return [
        f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}."
        for one in error.errors(include_url=False, include_input=False)
    ]
