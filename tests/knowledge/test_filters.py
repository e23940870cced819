"""Metadata conditions: what each operator means, what is refused and where, and that SQL means the same."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tool_server.errors import BadRequest
from tool_server.knowledge.document import Document, Section, document_id
from tool_server.knowledge.filters import OPERATORS, Filter, matches, parse
from tool_server.knowledge.search import Knowledge
from tool_server.knowledge.values import NAME_CHARACTERS

DOCUMENT: dict[str, str | float] = {
    "author": "Li Wei",
    "year": 2024,
    "pages": "12",
    "since": "2024-05-01",
    "note": " ",
}


def one(name: Any, operator: Any, value: Any = None) -> dict[str, Any]:
    return {"name": name, "comparison_operator": operator, "value": value}


def holds(name: Any, operator: str, value: Any = None) -> bool:
    parsed = parse({"conditions": [one(name, operator, value)]})
    assert parsed is not None
    return matches(parsed, DOCUMENT)


@pytest.mark.parametrize(
    ("name", "operator", "yes", "no"),
    [
        ("author", "contains", " WEI", "wang"),
        ("author", "start with", "ｌｉ", "wei"),
        ("author", "end with", "wei", "li"),
        ("author", "is", "Li Wei", "li wei"),
        ("year", "is", "2024.0", "24"),
        ("author", "in", ["x", "Li Wei"], ["x"]),
        ("author", "in", "x, Li Wei", ""),
        ("pages", "=", 12, 13),
        ("pages", ">", "9", "100"),
        ("pages", "<=", 12, 11),
        ("year", "≥", 2024, 2025),
        ("since", "<", "2024-05-01T00:00:01Z", "2024-05-01"),
        ("since", "after", "2024-04-30T23:59:59", "2024-05-01"),
        ("since", "before", 1714521601, 1714521600),
        (["editor", "author"], "is", "Li Wei", "Wang"),
    ],
)
def test_an_operator_tells_values_apart(name: Any, operator: str, yes: Any, no: Any) -> None:
    assert (holds(name, operator, yes), holds(name, operator, no)) == (True, False)


@pytest.mark.parametrize("operator", ["is not", "≠", "!=", "not in", "not contains", "empty"])
def test_a_negative_operator_holds_for_a_document_without_the_key(operator: str) -> None:
    assert holds("missing", operator, "x")


@pytest.mark.parametrize(
    "operator", ["is", "=", "in", "contains", "start with", "end with", ">", "before", "not empty"]
)
def test_a_positive_operator_does_not(operator: str) -> None:
    assert not holds("missing", operator, "2024-01-01")


def test_a_value_of_blanks_is_empty() -> None:
    assert (holds("note", "empty"), holds("author", "empty")) == (True, False)


def test_one_of_several_keys_is_enough_to_break_a_negative() -> None:
    assert not holds(["editor", "author"], "is not", "Li Wei")


def test_no_conditions_are_no_filter() -> None:
    assert (parse(None), parse({}), parse({"conditions": []})) == (None, None, None)


def test_text_and_number_are_never_in_order() -> None:
    assert not holds("author", ">", 1)
    assert not holds("author", "<", 1)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ([], ""),
        ({"condition": []}, ""),
        ({"logical_operator": "xor", "conditions": [one("a", "is", "b")]}, ".logical_operator"),
        ({"conditions": {}, "logical_operator": 3}, ".logical_operator"),
        ({"conditions": "author"}, ".conditions"),
        ({"conditions": [one("a", "is", "b")] * 51}, ".conditions"),
        ({"conditions": [7]}, ".conditions.0"),
        ({"conditions": [{**one("a", "is", "b"), "id": 1}]}, ".conditions.0"),
        ({"conditions": [one("a", "is", "b"), one("a", "like", "b")]}, ".conditions.1.comparison_operator"),
        ({"conditions": [one("a", ["is"], "b")]}, ".conditions.0.comparison_operator"),
        ({"conditions": [one("", "is", "b")]}, ".conditions.0.name"),
        ({"conditions": [one([], "is", "b")]}, ".conditions.0.name"),
        ({"conditions": [one(["a", 7], "is", "b")]}, ".conditions.0.name"),
        ({"conditions": [one("x" * 101, "is", "b")]}, ".conditions.0.name"),
        ({"conditions": [one("\ud800", "is", "b")]}, ".conditions.0.name"),
        ({"conditions": [one("a", "is", None)]}, ".conditions.0.value"),
        ({"conditions": [one("a", "is", True)]}, ".conditions.0.value"),
        ({"conditions": [one("a", "is", ["b"])]}, ".conditions.0.value"),
        ({"conditions": [one("a", "is", "\udc00")]}, ".conditions.0.value"),
        ({"conditions": [one("a", "is", "x" * 2001)]}, ".conditions.0.value"),
        ({"conditions": [one("a", "<", float("nan"))]}, ".conditions.0.value"),
        ({"conditions": [one("a", "in", 7)]}, ".conditions.0.value"),
        ({"conditions": [one("a", "in", ["b", {}])]}, ".conditions.0.value.1"),
        ({"conditions": [one("a", "in", ["b"] * 1001)]}, ".conditions.0.value"),
        ({"conditions": [one("a", "before", "soon")]}, ".conditions.0.value"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused_and_its_place_is_named(given: Any, place: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(given, place="filters")
    assert caught.value.param == f"filters{place}"


NAMES = st.sampled_from(["author", "year", "when", "x" * NAME_CHARACTERS])
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.0, 1e300, 2024]),
    st.floats(allow_nan=False, allow_infinity=False),
)
WORDS = st.one_of(
    st.sampled_from(["", " ", "Li", "li wei", "WEI", "ſ", "ﬁ", "３", "3", "3.0", "1_0", "%", "_", "a\x00b"]),
    st.sampled_from(["nan", "1e999", "2024-05-01", "2024-05-01T08:00:00+08:00", "20240501", "0001-01-01"]),
    st.text(st.characters(codec="utf-8"), max_size=4),
)  # fmt: skip
VALUES = st.one_of(WORDS, NUMBERS)
METADATA = st.dictionaries(NAMES, VALUES, max_size=3)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(OPERATORS))
    value: Any = draw(VALUES)
    if operator in ("in", "not in"):
        value = draw(st.lists(VALUES, max_size=3))
    if operator in ("before", "after"):
        value = draw(st.sampled_from(["2024-05-01", 1714521600, "2024-05-01T00:00:00Z"]))
    return one(draw(st.one_of(NAMES, st.lists(NAMES, min_size=1, max_size=2))), operator, value)


FILTERS = st.fixed_dictionaries(
    {
        "logical_operator": st.sampled_from(["and", "or"]),
        "conditions": st.lists(conditions(), min_size=1, max_size=3),
    }
).map(parse)


@given(
    several=st.lists(METADATA, min_size=1, max_size=20),
    asked=st.lists(FILTERS, min_size=10, max_size=10),
)
@budget(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_catalogue_finds_the_documents_that_match(
    knowledge: Knowledge, several: list[dict[str, str | float]], asked: list[Filter]
) -> None:
    documents = [
        Document(f"d{at}", f"d{at}", (Section("", "text"),), metadata=metadata)
        for at, metadata in enumerate(several)
    ]
    catalogue = knowledge.catalogue
    catalogue.withdraw("kb", "", ())
    catalogue.put("kb", documents, {document.source_id: () for document in documents})
    for one in asked:
        meant = {
            document_id("kb", document.source_id)
            for document in documents
            if matches(one, document.metadata)
        }
        everything = {document_id("kb", document.source_id) for document in documents}
        assert set(catalogue.matching(one, ["kb"])) == meant
        assert set(catalogue.matching(one, ["kb"], opposite=True)) == everything - meant
        assert catalogue.matching(one, ["other"]) == []
