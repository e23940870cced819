"""The tools and models that our packages offer, and whether a node fits them; used by `check`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from scripts.dsl.nodes import Bound, Llm, Tool

MODELS = Path("dify_plugin") / "model_provider"
OF_EVERY_TOOL = {"text": "string", "files": "array[file]", "json": "array[object]"}
# Parameters that take a text; Dify hands on a list of choices as the chosen text.
TEXTS = ("string", "secret-input", "dynamic-select")


@dataclass(frozen=True)
class Catalogue:
    """Tools by (provider, name) and models by (provider, name), each as its YAML file describes it."""

    tools: Mapping[tuple[str, str], Mapping[str, Any]]
    models: Mapping[tuple[str, str], Mapping[str, Any]]

    @classmethod
    def read(cls, root: Path) -> Self:
        return cls(dict(_tools(root)), dict(_models(root / MODELS)))

    def outputs(self, node: Tool) -> dict[str, str]:
        """The variables of a tool node with their types."""
        tool = self.tools.get((node.provider_id, node.tool_name), {})
        properties = tool.get("output_schema", {}).get("properties", {})
        return OF_EVERY_TOOL | {name: _type(schema) for name, schema in properties.items()}

    def of_tool(self, node: Tool) -> Iterator[str]:
        tool = self.tools.get((node.provider_id, node.tool_name))
        if tool is None:
            yield f"{node.provider_id} has no tool {node.tool_name}"
            return
        if node.provider_id.rpartition("/")[0] != node.plugin_id:
            yield f"{node.plugin_id} is not the package of {node.provider_id}"
        offered = self.outputs(node)
        for name, schema in node.output_schema.get("properties", {}).items():
            if offered.get(name) != _type(schema):
                yield f"output_schema: the tool gives no {name} of this type"
        declared = {parameter["name"]: parameter for parameter in tool["parameters"]}
        settings = node.tool_configurations
        bound = {**node.tool_parameters, **settings}
        yield from (f"the tool has no parameter {name}" for name in bound if name not in declared)
        for name, parameter in declared.items():
            if name not in bound:
                if parameter.get("required"):
                    yield f"the parameter {name} is required"
            elif name in (node.tool_parameters if parameter["form"] == "form" else settings):
                yield f"the parameter {name} has the form {parameter['form']}"
            elif not _fits(bound[name], parameter):
                yield f"{bound[name].value!r} is no value of the parameter {name}"

    def of_model(self, node: Llm) -> Iterator[str]:
        """An empty provider is chosen by whoever imports the app."""
        if not node.model.provider:
            return
        model = self.models.get((node.model.provider, node.model.name))
        if model is None:
            yield f"{node.model.provider} has no model {node.model.name}"
            return
        rules = {rule["name"]: rule for rule in model["parameter_rules"]}
        for name, value in node.model.completion_params.items():
            if name not in rules:
                yield f"the model has no parameter {name}"
            elif not _within(value, rules[name]):
                yield f"{value!r} is no value of the model's parameter {name}"
        if node.structured_output_enabled and "structured-output" not in model["features"]:
            yield "the model has no structured output"


def _tools(root: Path) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    manifest = _load(root / "manifest.yaml")
    for path in manifest["plugins"]["tools"]:
        provider = _load(root / path)
        name = f"{manifest['author']}/{manifest['name']}/{provider['identity']['name']}"
        for file in provider["tools"]:
            tool = _load(root / file)
            yield (name, tool["identity"]["name"]), tool


def _models(root: Path) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    manifest = _load(root / "manifest.yaml")
    for path in manifest["plugins"]["models"]:
        provider = _load(root / path)
        name = f"{manifest['author']}/{manifest['name']}/{provider['provider']}"
        for pattern in provider["models"].get("llm", {}).get("predefined", []):
            for file in sorted(root.glob(pattern)):
                model = _load(file)
                yield (name, model["model"]), model


def _load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def _type(schema: Mapping[str, Any]) -> str:
    kind = str(schema["type"])
    return f"array[{schema['items']['type']}]" if kind == "array" else kind


def _fits(bound: Bound, parameter: Mapping[str, Any]) -> bool:
    """A text with variables, or a variable, is only known when the app runs."""
    if bound.type != "constant":
        return True
    match parameter["type"]:
        case "number":
            return _within(bound.value, parameter)
        case "boolean":
            return isinstance(bound.value, bool)
        case "select":
            return bound.value in [option["value"] for option in parameter["options"]]
        case kind if kind in TEXTS:
            return isinstance(bound.value, str)
    return True


def _within(value: object, rule: Mapping[str, Any]) -> bool:
    if rule["type"] == "boolean":
        return isinstance(value, bool)
    if rule["type"] not in ("number", "float", "int"):
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return bool(rule.get("min", -math.inf) <= value <= rule.get("max", math.inf))
