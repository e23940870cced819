"""Schemas of structured answers: a mistake is named by its path; what follows the schema is told from what does not."""

import json
from typing import Any

import pytest

from dify_plugin.schema import mismatch, read_schema
from dify_plugin.server import ServerError

OBJECT: dict[str, Any] = {"type": "object"}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ("", "schema: this is not JSON (Expecting value, line 1, column 1)."),
        ("{'a': 1}", "schema: this is not JSON"),
        ("[" * 100_000, "schema: "),
        ("1", "schema: enter one JSON object."),
        ("{}", 'schema.type: the outermost one must be "object".'),
        ({"type": "array"}, "schema.type: the outermost one"),
        ({**OBJECT, "properties": []}, "schema.properties: write an object"),
        ({**OBJECT, "properties": {"a": 1}}, "schema.properties.a: write an object, like"),
        (
            {**OBJECT, "properties": {"a": {"type": "int"}}},
            "schema.properties.a.type: 'int' is none; choose object, array, string",
        ),
        (
            {**OBJECT, "properties": {"a": {"type": "array", "items": {"type": "text"}}}},
            "schema.properties.a.items.type: 'text' is none",
        ),
        ({**OBJECT, "properties": {"a": {"enum": []}}}, "schema.properties.a.enum: write a list"),
        ({**OBJECT, "required": ["a"]}, "schema.required: 'a' is not among the properties."),
        ({**OBJECT, "required": "a"}, "schema.required: write a list of names."),
        ({**OBJECT, "anyOf": [{"type": "x"}]}, "schema.anyOf.0.type: 'x' is none"),
        (deep(40), "levels deep."),
        ({**OBJECT, "description": "长" * 20_000}, "schema: it may have 32768 bytes."),
    ],
)
def test_a_schema_that_cannot_be_is_named_by_its_place(schema: object, sentence: str) -> None:
    given = schema if isinstance(schema, str) else json.dumps(schema)
    with pytest.raises(ServerError) as caught:
        read_schema(given)
    assert sentence in str(caught.value)


def test_a_good_schema_comes_back_as_it_was() -> None:
    schema = {**OBJECT, "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
    assert read_schema(json.dumps(schema)) == schema == read_schema(schema)


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        (True, "boolean", True),
        (True, "integer", False),
        (3, "integer", True),
        (3.0, "integer", True),
        (3.5, "integer", False),
        (3, "number", True),
        (None, "null", True),
        ("", "string", True),
        ([], "array", True),
        ({}, "array", False),
    ],
)
def test_types_are_those_of_json(value: object, kind: str, fits: bool) -> None:
    schema = {**OBJECT, "properties": {"a": {"type": kind}}}
    assert (mismatch({"a": value}, schema) == "") is fits


def test_the_first_mismatch_is_named_by_its_place() -> None:
    item = {**OBJECT, "properties": {"kind": {"enum": ["it", "hr"]}}, "required": ["kind"]}
    schema = {**OBJECT, "properties": {"items": {"type": "array", "items": item}}}
    assert mismatch({"items": [{"kind": "it"}, {"kind": "x"}]}, schema).startswith(
        "result.items.1.kind: "
    )
    assert mismatch({"items": [{}]}, schema) == "result.items.0.kind: it is missing."
    assert mismatch({"items": []}, schema) == ""
