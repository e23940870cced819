"""Rules about tools, endpoints and models that one field alone does not show."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from scripts.package.check.model_shapes import FormItem, Model
from scripts.package.check.package import Declared, Package, matches, model_files
from scripts.package.check.tool_shapes import Parameter, Setting

# A workflow's tool node has these outputs by itself.
OWN_OUTPUTS = {"text", "files", "json"}
CHOICES = {"select", "radio"}
# Dify cuts prompts and texts by this size.
SIZED = {"llm": "context_size", "text-embedding": "context_size", "rerank": "context_size"}


def tool_names_differ(_: Package, declared: Declared) -> Iterator[str]:
    for name in _repeated(tool.identity.name for tool in declared.tools.values()):
        yield f"two tools have the name {name}."


def tool_parameters(_: Package, declared: Declared) -> Iterator[str]:
    for name, tool in declared.tools.items():
        for twice in _repeated(parameter.name for parameter in tool.parameters):
            yield f"{name}: parameters: {twice} is there twice."
        for parameter in tool.parameters:
            for fault in _faults(parameter):
                yield f"{name}: parameters.{parameter.name}: {fault}"


def tool_outputs(_: Package, declared: Declared) -> Iterator[str]:
    """Its properties become variables of a workflow, beside those that every tool node has."""
    for name, tool in declared.tools.items():
        if not tool.output_schema.properties:
            yield f"{name}: output_schema: has no properties."
        for taken in sorted(OWN_OUTPUTS & set(tool.output_schema.properties)):
            yield f"{name}: output_schema.{taken}: is an output that every tool has."


def credentials(_: Package, declared: Declared) -> Iterator[str]:
    """A select has options and a default among them; a key is a secret."""
    for name, provider in declared.tool_providers.items():
        for key, setting in provider.credentials_for_provider.items():
            for fault in _field_faults(key, setting):
                yield f"{name}: credentials_for_provider.{key}: {fault}"
    for name, models in declared.model_providers.items():
        for form in (models.provider_credential_schema, models.model_credential_schema):
            for item in form.credential_form_schemas if form else []:
                for fault in _field_faults(item.variable, item):
                    yield f"{name}: {item.variable}: {fault}"


def no_secret_of_an_endpoint(_: Package, declared: Declared) -> Iterator[str]:
    """For each request the daemon would ask Dify to decrypt it, and fail while Dify is away."""
    for name, group in declared.groups.items():
        for twice in _repeated(setting.name for setting in group.settings):
            yield f"{name}: settings: {twice} is there twice."
        for setting in group.settings:
            if setting.type == "secret-input":
                yield f"{name}: settings.{setting.name}: an endpoint's form holds no secret."


def endpoint_paths(_: Package, declared: Declared) -> Iterator[str]:
    """A route for one method and path; a slash at the end would be another path."""
    routes = [f"{endpoint.method} {endpoint.path}" for endpoint in declared.endpoints.values()]
    for route in _repeated(routes):
        yield f"{route} is there twice."
    for name, endpoint in declared.endpoints.items():
        if len(endpoint.path) > 1 and endpoint.path.endswith("/"):
            yield f"{name}: path: has a slash at its end."


def model_kinds(package: Package, declared: Declared) -> Iterator[str]:
    """What the provider says it supports has models (or a form for them), and nothing else has."""
    for name, provider in declared.model_providers.items():
        supported = set(provider.supported_model_types)
        given = {
            declared.models[file].model_type
            for file in model_files(package, provider)
            if file in declared.models
        }
        for surplus in sorted(given - supported):
            yield f"{name}: supported_model_types: lacks {surplus}."
        if "customizable-model" not in provider.configurate_methods:
            for missing in sorted(supported - given):
                yield f"{name}: models: none of the type {missing}."
        elif provider.model_credential_schema is None:
            yield f"{name}: model_credential_schema: is needed for customizable-model."
        if given and "predefined-model" not in provider.configurate_methods:
            yield f"{name}: configurate_methods: lacks predefined-model."
        for kind, files in provider.models:
            for pattern in files.predefined if files else []:
                if not _matching(package, pattern):
                    yield f"{name}: models.{kind}: {pattern} names no file."


def model_positions(package: Package, declared: Declared) -> Iterator[str]:
    for name, provider in declared.model_providers.items():
        for kind, files in provider.models:
            if not files or not files.position:
                continue
            known = {model.model for model in declared.models.values()}
            listed = set(re.findall(r"^- *(\S+) *$", package.text(files.position), re.MULTILINE))
            if not listed or listed - known:
                yield f"{name}: models.{kind}.position: {files.position} lists unknown models."


def models(_: Package, declared: Declared) -> Iterator[str]:
    for twice in _repeated(f"{m.model_type} {m.model}" for m in declared.models.values()):
        yield f"the model {twice} is there twice."
    for name, model in declared.models.items():
        for fault in _model_faults(name, model):
            yield f"{name}: {fault}"


def _model_faults(name: str, model: Model) -> Iterator[str]:
    if model.model_type.replace("-", "_") not in name.split("/"):
        yield f"model_type: {model.model_type} is not of this folder."
    size = SIZED.get(model.model_type)
    value = model.model_properties.get(size, 0) if size else 1
    if not isinstance(value, int) or value < 1:
        yield f"model_properties.{size}: has to be a number above 0."
    if model.model_type == "llm" and model.model_properties.get("mode") not in (
        "chat",
        "completion",
    ):
        yield "model_properties.mode: is chat or completion."
    for twice in _repeated(rule.name for rule in model.parameter_rules):
        yield f"parameter_rules: {twice} is there twice."
    for rule in model.parameter_rules:
        if not _between(rule.default, rule.min, rule.max):
            yield f"parameter_rules.{rule.name}: the default is not between min and max."
        if rule.options and rule.default is not None and rule.default not in rule.options:
            yield f"parameter_rules.{rule.name}: the default is no option."


def _faults(parameter: Parameter) -> Iterator[str]:
    if parameter.form == "llm" and not parameter.llm_description.strip():
        yield "the model needs an llm_description."
    values = [option.value for option in parameter.options]
    if (parameter.type == "select") != bool(values):
        yield "options belong to a select, and a select has some."
    if values and parameter.default is not None and parameter.default not in values:
        yield "the default is no option."
    if not _between(parameter.default, parameter.min, parameter.max):
        yield "the default is not between min and max."
    if parameter.scope and parameter.type not in ("app-selector", "model-selector", "any"):
        yield "only a selector has a scope."
    if parameter.type == "secret-input" and parameter.form == "llm":
        yield "a model never sees a secret."


def _field_faults(name: str, given: Setting | FormItem) -> Iterator[str]:
    values = [option.value for option in given.options]
    if (given.type in CHOICES) != bool(values):
        yield "options belong to a select, and a select has some."
    if values and given.default is not None and given.default not in values:
        yield "the default is no option."
    if given.type == "text-input" and re.search(r"key|secret|password|token", name):
        yield "has to be a secret-input."
    if given.type == "secret-input" and given.default:
        yield "a secret has no default."


def _between(value: object, least: float | None, most: float | None) -> bool:
    if least is not None and most is not None and least > most:
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return (least is None or value >= least) and (most is None or value <= most)


def _matching(package: Package, pattern: str) -> list[str]:
    return [name for name in package.files if matches(name, pattern)]


def _repeated(values: Iterable[str]) -> list[str]:
    return sorted(value for value, count in Counter(values).items() if count > 1)
