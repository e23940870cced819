"""A tool's parameters, as Dify sends them, become the body of a request."""

from dataclasses import asdict
from typing import Any

import pytest

from dify_plugin.question import DocumentQuestion, Question, budget_of, language_of
from dify_plugin.server import ServerError

CONDITION = '{"conditions": [{"name": "year", "comparison_operator": "=", "value": 2024}]}'


def question(**parameters: Any) -> Question:
    return Question.of({"query": "年假？", **parameters}, app="a", conversation="c")


def test_what_is_left_empty_has_its_default() -> None:
    empty = dict.fromkeys(
        ("bases", "top_k", "score_threshold", "mode", "filters", "language", "ticket"), ""
    )
    body = {
        "query": "年假？",
        "bases": [],
        "top_k": 3,
        "score_threshold": 0.0,
        "mode": "auto",
        "filters": None,
        "language": "",
        "ticket": None,
        "app": "a",
        "conversation": "c",
    }
    assert asdict(question()) == asdict(question(**empty)) == body


@pytest.mark.parametrize("written", ["hr,it", "hr, it", "hr，it", "hr、it ", " hr\nit;"])
def test_several_bases_may_be_named(written: str) -> None:
    assert question(bases=written).bases == ["hr", "it"]


def test_what_is_chosen_goes_to_the_server() -> None:
    asked = question(mode="hybrid", language="zh", score_threshold="0.4", ticket=" t ")
    assert (asked.mode, asked.language, asked.ticket) == ("hybrid", "zh", "t")
    assert asked.score_threshold == 0.4
    assert question(language="any").language == ""


@pytest.mark.parametrize(
    ("value", "count"), [(None, 3), ("", 3), (5, 5), ("5", 5), (5.0, 5), (0, 0)]
)
def test_top_k_is_read_as_dify_sends_it(value: object, count: int) -> None:
    assert question(top_k=value).top_k == count


@pytest.mark.parametrize("given", [CONDITION, {"conditions": []}])
def test_filters_are_json_or_an_object(given: object) -> None:
    assert "conditions" in question(filters=given).filters


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"top_k": "many"}, "top_k"),
        ({"top_k": "nan"}, "top_k"),
        ({"top_k": "inf"}, "top_k"),
        ({"score_threshold": "high"}, "score_threshold"),
        ({"score_threshold": "nan"}, "score_threshold"),
        ({"score_threshold": 1.5}, "score_threshold"),
        ({"filters": "year = 2024"}, "filters"),
        ({"filters": "[" * 100000}, "filters"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(parameters: dict[str, Any], named: str) -> None:
    with pytest.raises(ServerError, match=named):
        question(**parameters)


@pytest.mark.parametrize("value", [199, 60001, "much"])
def test_a_budget_has_its_bounds(value: object) -> None:
    with pytest.raises(ServerError, match="max_characters"):
        budget_of({"max_characters": value})


def test_a_part_of_a_document_is_asked_for() -> None:
    parameters = {"document_id": " d ", "offset": "7", "max_characters": 500, "ticket": "t"}
    asked = DocumentQuestion.of(parameters, app="a", conversation="c")
    assert asked == DocumentQuestion("d", 7, 500, "t", "a", "c")


@pytest.mark.parametrize(("text", "language"), [("年假 days", "zh"), ("days?", "en"), ("", "en")])
def test_a_han_character_makes_a_question_chinese(text: str, language: str) -> None:
    assert language_of(text) == language
