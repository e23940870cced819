"""A base whose documents lie in an index of others: searched with its own fields and analysers, read only."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.real.node import Node
from tool_server.errors import NotFound, Unavailable
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.foreign_index import ForeignIndex
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge, Question, Result, search

type Open = Callable[..., Knowledge]

DOCUMENTS: list[dict[str, Any]] = [
    {"title": "年假", "content": "员工每年享有 12 天带薪年假。", "state": "published",
     "meta": {"link": "https://intranet/leave", "page": 3}, "number": "A-7"},
    {"title": "年假草稿", "content": "年假 99 天。", "state": "draft"},
    {"title": "Parking", "content": ["Parking costs 120 yuan.", "Visitors park free."],
     "state": "published"},
]  # fmt: skip
PUBLISHED = {"term": {"state": "published"}}


@pytest.fixture
def index(node: Node, prefix: str) -> str:
    """As another team made it: standard analyser, documents of their own form."""
    name = f"{prefix}-knowledge_base"
    text, keyword = {"type": "text"}, {"type": "keyword"}
    properties = {"title": text, "content": text, "state": keyword}
    node.call("PUT", f"/{name}", {"mappings": {"properties": properties}})
    for number, document in enumerate(DOCUMENTS):
        node.call("PUT", f"/{name}/_doc/{number}?refresh=true", document)
    return name


@pytest.fixture
def knowledge(node: Node, opened: Open) -> Knowledge:
    """Its own index is the embedded one."""
    return opened(node.url, SHENQIAO_KNOWLEDGE_BACKEND="embedded")


def set_base(knowledge: Knowledge, foreign: dict[str, Any], *access: str) -> None:
    profile = {"foreign": foreign, **({"access": access} if access else {})}
    knowledge.catalogue.set_profile("theirs", Profile.model_validate(profile))


def ask(knowledge: Knowledge, query: str, *bases: str, top_k: int = 5) -> Result:
    return search(knowledge, Question(query, bases=bases or ("theirs",), top_k=top_k))


def test_its_documents_are_passages_with_source_address_and_page(
    knowledge: Knowledge, index: str
) -> None:
    set_base(
        knowledge,
        {
            "index": index,
            "fields": ["title^3", "content"],
            "id": "number",
            "url": "meta.link",
            "page": "meta.page",
            "filter": PUBLISHED,
        },
    )
    result = ask(knowledge, "年假有几天")
    (passage,) = result.passages
    assert result.found
    assert (passage.content, passage.title) == (DOCUMENTS[0]["content"], "年假")
    assert (passage.source_id, passage.url, passage.page) == ("A-7", "https://intranet/leave", 3)
    assert 0 < passage.score < 1
    assert uuid.UUID(passage.segment_id).version == uuid.UUID(passage.document_id).version == 5
    assert ask(knowledge, "年假有几天").passages == result.passages


def test_a_list_of_texts_is_read_as_lines(knowledge: Knowledge, index: str) -> None:
    set_base(knowledge, {"index": index})
    (passage,) = ask(knowledge, "parking").passages
    assert passage.content == "Parking costs 120 yuan.\nVisitors park free."


@pytest.mark.parametrize("kind", ["best_fields", "most_fields"])
def test_both_kinds_of_query_find(knowledge: Knowledge, index: str, kind: str) -> None:
    set_base(knowledge, {"index": index, "type": kind, "fields": {"content": 1, "title": 0.2}})
    assert {passage.source_id for passage in ask(knowledge, "年假").passages} == {"0", "1"}


@pytest.mark.parametrize("query", ["a:b AND (c", "state:draft", '"}}', "*", "title^3", "年假\x00"])
def test_no_character_of_a_question_is_syntax(knowledge: Knowledge, index: str, query: str) -> None:
    set_base(knowledge, {"index": index, "filter": PUBLISHED})
    assert "1" not in {passage.source_id for passage in ask(knowledge, query).passages}


def test_a_very_long_question_is_answered(knowledge: Knowledge, index: str) -> None:
    set_base(knowledge, {"index": index, "fields": [f"field{n}" for n in range(19)] + ["content"]})
    query = "".join(chr(0x4E00 + number) for number in range(8000))
    assert ask(knowledge, query).passages == ()


@pytest.mark.parametrize("filter_", [{"no_such_query": {}}, {"term": "state"}, {"range": {"x": 1}}])
def test_where_the_filter_is_broken_nothing_is_shown(
    knowledge: Knowledge, index: str, filter_: dict[str, Any]
) -> None:
    set_base(knowledge, {"index": index, "filter": filter_})
    with pytest.raises(Unavailable):
        ask(knowledge, "年假")


def test_an_index_that_is_missing_is_a_sentence(knowledge: Knowledge) -> None:
    set_base(knowledge, {"index": "nowhere"})
    with pytest.raises(Unavailable, match="missing"):
        ask(knowledge, "年假")


def test_only_who_may_see_the_base_finds_its_documents(knowledge: Knowledge, index: str) -> None:
    set_base(knowledge, {"index": index}, "user:a/1")
    with pytest.raises(NotFound):
        ask(knowledge, "年假")
    assert search(knowledge, Question("年假")).passages == ()
    rights = frozenset({"public", "user:a/1"})
    assert search(knowledge, Question("年假", rights=rights)).passages


def test_both_kinds_of_base_are_searched_together(
    knowledge: Knowledge, index: str, tmp_path: Any
) -> None:
    (tmp_path / "a.txt").write_text("年假要提前三天申请。")
    ingest(knowledge, "ours", [tmp_path / "a.txt"])
    set_base(knowledge, {"index": index, "filter": PUBLISHED})
    passages = ask(knowledge, "年假", "ours", "theirs").passages
    assert {passage.base for passage in passages} == {"ours", "theirs"}
    assert len(ask(knowledge, "年假", "ours", "theirs", top_k=1).passages) == 1


def test_a_key_of_its_own_reads_it_and_nothing_else(
    secured: Node, opened: Open, prefix: str
) -> None:
    name = f"{prefix}-theirs"
    secured.call("PUT", f"/{name}/_doc/1?refresh=true", DOCUMENTS[0])
    role = {"reader": {"indices": [{"names": [name], "privileges": ["read"]}]}}
    key = secured.call("POST", "/_security/api_key", {"name": name, "role_descriptors": role})
    assert isinstance(key, dict)
    knowledge = opened(
        secured.url,
        SHENQIAO_KNOWLEDGE_BACKEND="embedded",
        SHENQIAO_KNOWLEDGE_ELASTICSEARCH_CA_FILE=str(secured.ca_file),
        SHENQIAO_KNOWLEDGE_FOREIGN_API_KEY=str(key["encoded"]),
    )
    set_base(knowledge, ForeignIndex(index=name).model_dump())
    assert ask(knowledge, "年假").found
    set_base(knowledge, {"index": "another"})
    with pytest.raises(Unavailable, match="403"):
        ask(knowledge, "年假")
