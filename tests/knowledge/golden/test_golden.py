"""Fifty questions through both doors of a running tool server: the same passages from both, the expected one first."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.knowledge.golden.collection import Golden, fill, questions, running
from tests.knowledge.served import Server, Tool, retrieve, serve

TOP_K = 5
OFF_TOPIC = (
    Golden("handbook", "比特币今天的价格是多少？", "", ""),
    Golden("support", "Who painted the ceiling of the chapel?", "", ""),
)


@dataclass(frozen=True)
class Seen:
    """A passage as it came through a door."""

    segment_id: str
    source_id: str
    page: int | None
    score: float
    text: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """To play the file on another index: name a server that holds the collection, or `serve` with its settings."""
    named = running()
    if named:
        yield named
        return
    with serve(tmp_path_factory.mktemp("golden"), fill, {}) as started:
        yield started


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    tool = Tool(tmp_path_factory.mktemp("log") / "package-a.log")
    yield tool
    tool.stop()


def cited(server: Server, tool: Tool, question: Golden) -> list[Seen]:
    condition = json.dumps(question.condition) if question.condition else ""
    variables = tool.search(
        server, question.ask, bases=question.base, top_k=TOP_K, filters=condition
    )
    return [
        Seen(
            item["metadata"]["segment_id"],
            item["metadata"]["doc_metadata"]["source_id"],
            item["metadata"]["page"],
            item["metadata"]["score"],
            item["content"].partition("\n")[2],
        )
        for item in variables["result"]
    ]


def retrieved(server: Server, question: Golden) -> list[Seen]:
    records = retrieve(
        server, question.base, question.ask, top_k=TOP_K, condition=question.condition
    )
    return [
        Seen(
            record["metadata"]["segment_id"],
            record["metadata"]["source_id"],
            record["metadata"]["page"],
            record["score"],
            record["content"],
        )
        for record in records
    ]


def test_there_are_fifty_questions_and_none_twice() -> None:
    asked = [(one.base, one.ask, str(one.filter)) for one in questions()]
    assert len(asked) == len(set(asked)) == 50


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.ask)
def test_both_doors_give_the_same_passages_and_the_expected_one_first(
    server: Server, tool: Tool, question: Golden
) -> None:
    through_tool = cited(server, tool, question)
    assert through_tool == retrieved(server, question)
    best = through_tool[0]
    assert best.source_id == question.source
    assert question.holds in best.text


@pytest.mark.parametrize("question", OFF_TOPIC, ids=lambda question: question.ask)
def test_neither_door_gives_passages_that_do_not_cover_the_question(
    server: Server, tool: Tool, question: Golden
) -> None:
    assert cited(server, tool, question) == retrieved(server, question) == []
