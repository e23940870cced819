"""Searching: the right passage, an honest `found`, errors that name the field."""

import pytest

from scripts.demo_model.corpus import load
from scripts.evaluate_found import questions
from tool_server.errors import ApiError, BadRequest, NotFound
from tool_server.knowledge.search import Knowledge, Question, search


def test_a_question_finds_its_passage_with_source_and_score(handbook: Knowledge) -> None:
    result = search(handbook, Question("年假有几天？", bases=("handbook",), top_k=3))
    best = result.passages[0]
    assert result.found
    assert (best.content, best.title) == ("员工每年享有 12 天带薪年假。", "员工手册 › 年假")
    assert (best.source_id, best.base) == ("员工手册.md", "handbook")
    assert 0 < result.passages[-1].score <= best.score <= 1


def test_a_question_in_english_finds_the_english_passage(handbook: Knowledge) -> None:
    result = search(handbook, Question("How many days of annual leave do I have?", top_k=1))
    assert result.passages[0].title == "Employee handbook › Annual leave"


def test_a_question_about_something_else_is_not_found(handbook: Knowledge) -> None:
    assert not search(handbook, Question("比特币多少钱？", top_k=3)).found
    assert not search(handbook, Question("Who won the football match?", top_k=3)).found


def test_the_cut_off_holds_what_was_measured(handbook: Knowledge) -> None:
    """On the wordings that were held out of its tuning: covered questions are found, others mostly not."""
    for kind, asked in questions(load(), held_out=True).items():
        found = [search(handbook, Question(question, top_k=3)) for question, _ in asked]
        share = sum(result.found for result in found) / len(found)
        if "off topic" in kind:
            assert share <= 0.25, kind
            continue
        right = [
            any(passage.content == answer for passage in result.passages)
            for result, (_, answer) in zip(found, asked, strict=True)
        ]
        assert share >= 0.97, kind
        assert sum(right) / len(right) >= 0.95, kind


@pytest.mark.parametrize(
    ("query", "base", "top_k", "error", "field"),
    [
        ("", None, 3, BadRequest, "query"),
        ("   ", None, 3, BadRequest, "query"),
        ("x" * 8001, None, 3, BadRequest, "query"),
        ("年假", None, 0, BadRequest, "top_k"),
        ("年假", None, 51, BadRequest, "top_k"),
        ("年假", "nowhere", 3, NotFound, "base"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_by_name(
    handbook: Knowledge, query: str, base: str | None, top_k: int, error: type[ApiError], field: str
) -> None:
    with pytest.raises(error) as caught:
        search(handbook, Question(query, bases=(base,) if base else (), top_k=top_k))
    assert caught.value.param == field


@pytest.mark.parametrize("query", ["?", "++--", "a:b AND (c", "“”", "\x00", "title:年假^3"])
def test_no_character_of_a_question_is_syntax(handbook: Knowledge, query: str) -> None:
    search(handbook, Question(query, top_k=3))


def test_an_empty_installation_finds_nothing(knowledge: Knowledge) -> None:
    result = search(knowledge, Question("年假", top_k=3))
    assert (result.found, result.passages) == (False, ())
