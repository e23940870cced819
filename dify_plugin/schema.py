"""JSON schemas of the tool `structured_answer`: read and looked through before a model is asked, and held to after.

The model server enforces the whole schema; here the common words of it are checked, so that a mistake is named by its
path and an answer that was cut, or came from an engine that enforces nothing, is not taken for a good one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dify_plugin.faults import ServerError

BYTES = 32 * 1024
DEPTH = 32
KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def read_schema(given: object) -> dict[str, Any]:
    """The schema of a text, or that object itself. Raises `ServerError`, which names the place in it."""
    schema = _parsed(given) if isinstance(given, str) else given
    if not isinstance(schema, dict):
        raise ServerError("schema: enter one JSON object.")
    if len(json.dumps(schema, ensure_ascii=False).encode(errors="replace")) > BYTES:
        raise ServerError(f"schema: it may have {BYTES} bytes.")
    if schema.get("type") != "object":
        raise ServerError('schema.type: the outermost one must be "object".')
    for fault in _faults(schema, "schema", DEPTH):
        raise ServerError(fault)
    return schema


def mismatch(value: object, schema: Mapping[str, Any], place: str = "result") -> str:
    """The first place where a value is not what the schema says, as a sentence; empty where there is none."""
    return next(_mismatches(value, schema, place, DEPTH), "")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError:
        raise ServerError("schema: it is nested too deep.") from None
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise ServerError(f"schema: this is not JSON ({error.msg}, {at}).") from None


def _faults(schema: object, place: str, depth: int) -> Iterator[str]:
    if not depth:
        yield f"{place}: a schema may be {DEPTH} levels deep."
    elif not isinstance(schema, dict):
        if not isinstance(schema, bool):
            yield f'{place}: write an object, like {{"type": "string"}}.'
    else:
        yield from _own_faults(schema, place)
        for inner, where in _inner(schema, place):
            yield from _faults(inner, where, depth - 1)


def _own_faults(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    for kind in _kinds(schema):
        if kind not in KINDS:
            yield f"{place}.type: {kind!r} is none; choose {', '.join(KINDS)}."
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        yield f"{place}.properties: write an object of names and their schemas."
    enum = schema.get("enum", [None])
    if not isinstance(enum, list) or not enum:
        yield f"{place}.enum: write a list of values."
    required = schema.get("required", [])
    if not isinstance(required, list):
        yield f"{place}.required: write a list of names."
    elif isinstance(properties, dict) and (unknown := [n for n in required if n not in properties]):
        yield f"{place}.required: {unknown[0]!r} is not among the properties."


def _inner(schema: Mapping[str, Any], place: str) -> Iterator[tuple[object, str]]:
    """The schemas inside of one, with their places."""
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        yield inner, f"{place}.properties.{name}"
    if "items" in schema:
        yield schema["items"], f"{place}.items"
    for word in ("anyOf", "oneOf", "allOf"):
        for number, inner in enumerate(schema.get(word) or ()):
            yield inner, f"{place}.{word}.{number}"


def _mismatches(value: object, schema: Mapping[str, Any], place: str, depth: int) -> Iterator[str]:
    kinds = [kind for kind in _kinds(schema) if kind in KINDS]
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{place}: it is no {' or '.join(kinds)}."
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: it is none of the values that the schema lists."
    if not depth:
        return
    if isinstance(value, dict):
        yield from _in_object(value, schema, place, depth)
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, dict):
        for number, item in enumerate(value):
            yield from _mismatches(item, items, f"{place}.{number}", depth - 1)


def _in_object(
    value: Mapping[str, Any], schema: Mapping[str, Any], place: str, depth: int
) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}.{name}: it is missing."
    for name, part in value.items():
        inner = properties.get(name)
        if isinstance(inner, dict):
            yield from _mismatches(part, inner, f"{place}.{name}", depth - 1)
        elif inner is None and schema.get("additionalProperties") is False:
            yield f"{place}.{name}: the schema does not know it."


def _kinds(schema: Mapping[str, Any]) -> list[Any]:
    kind = schema.get("type")
    if kind is None:
        return []
    return kind if isinstance(kind, list) else [kind]


def _is(value: object, kind: str) -> bool:
    """JSON's idea of a type: true is no number, 3.0 is an integer."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, KINDS[kind])
