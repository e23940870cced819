"""What Dify shows and checks of a model: the package's own description with the figures of the tool server."""

from __future__ import annotations

from collections.abc import Iterable

from dify_plugin.entities import I18nObject
from dify_plugin.entities.model import (
    AIModelEntity,
    FetchFrom,
    ModelFeature,
    ModelPropertyKey,
    ParameterRule,
)
from models.shapes import Model

# Parameters that a model only has with this feature.
NEEDS = {
    "enable_thinking": "thinking",
    "response_format": "structured-output",
    "json_schema": "structured-output",
}
FEATURES = {feature.value for feature in ModelFeature}
# All vectors of a call are one line to the daemon, which ends the package at 5 MB; a number takes up to 24 bytes.
NUMBERS = 180_000


def adjusted(described: AIModelEntity, served: Model) -> AIModelEntity:
    """A copy with the server's context size, features and limits; what it does not say stays as described."""
    entity = described.model_copy(deep=True)
    properties = entity.model_properties
    if served.context_length and ModelPropertyKey.CONTEXT_SIZE in properties:
        properties[ModelPropertyKey.CONTEXT_SIZE] = served.context_length
    if ModelPropertyKey.MAX_CHUNKS in properties:
        properties[ModelPropertyKey.MAX_CHUNKS] = _batch(properties, served)
    if served.features is not None:
        entity.features = [ModelFeature(name) for name in served.features if name in FEATURES]
    entity.parameter_rules = [
        _limited(rule, served)
        for rule in entity.parameter_rules
        if served.features is None or NEEDS.get(rule.name, "") in ("", *served.features)
    ]
    return entity


def customized(described: AIModelEntity, served: Model) -> AIModelEntity:
    """The predefined model's description under another model's name."""
    entity = adjusted(described, served)
    entity.model = served.id
    entity.label = I18nObject(en_US=served.id)
    entity.fetch_from = FetchFrom.CUSTOMIZABLE_MODEL
    if served.features is None:
        entity.features = []
    return entity


def lenient(rules: Iterable[ParameterRule]) -> list[ParameterRule]:
    """For the SDK's check of a call: an app that was saved with a higher `max_tokens` than the server now gives
    still runs, because the server lowers it."""
    return [
        rule.model_copy(update={"max": None}) if rule.name == "max_tokens" else rule
        for rule in rules
    ]


def _batch(properties: dict[ModelPropertyKey, object], served: Model) -> int:
    """Texts in one call."""
    batch = served.max_batch or int(str(properties[ModelPropertyKey.MAX_CHUNKS]))
    return max(1, min(batch, NUMBERS // served.dimensions)) if served.dimensions else batch


def _limited(rule: ParameterRule, served: Model) -> ParameterRule:
    """`max_tokens` within what the server gives."""
    most = served.max_output_tokens or served.context_length
    if rule.name == "max_tokens" and most:
        rule.max = float(most)
        rule.default = min(int(rule.default or most), most)
    return rule
