"""The index in Elasticsearch finds and weighs what the embedded one does, inside the same scope."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.demo_model.corpus import HANDBOOK, load
from scripts.evaluate_found import questions
from tests.real.node import Node
from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import Document, Section, Value
from tool_server.knowledge.filters import OPERATORS, Filter, matches, parse
from tool_server.knowledge.index import Fields, Scope
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.knowledge.terms import Term, terms

type Open = Callable[..., Knowledge]

HAN = "深桥助手年假停车会议室报销制度加班打印机密码安全培训合同采购仓库食堂班车体检保险绩效"
WORDS = [
    "parking",
    "leave",
    "meeting",
    "budget",
    "travel",
    "printer",
    "password",
    "training",
    "contract",
    "lunch",
    "bus",
    "health",
]
VALUES: tuple[Value, ...] = (
    5, 5.0, "5", 7.5, -3, 0, 1e300, "", "  ", "Alpha", "ALPHA", "alphabet", "Ｗｉｄｅ", "ß", "年假",
    "a*b", "a?b", "a\\b", "*", "2026-11-27", "2026-11-27T08:00:00Z", "2026-11-27T16:00:00+08:00",
    "1999-01-01", "20260101", "nan", "x" * 9000,
)  # fmt: skip


def put(knowledge: Knowledge, base: str, documents: list[Document]) -> None:
    with knowledge.index.writing(knowledge.catalogue) as writer:
        pieces = {document.source_id: cut(document, 600) for document in documents}
        knowledge.catalogue.put(base, documents, pieces)
        writer.sync()


def made_up(seed: int, count: int) -> list[Document]:
    """Documents of common and rare words, with access lists, in two languages."""
    chance = random.Random(seed)
    documents = []
    for number in range(count):
        letters = HAN if chance.random() < 0.5 else ""
        body = "".join(chance.choices(letters, k=chance.randint(5, 200))) if letters else ""
        body += " " + " ".join(chance.choices(WORDS, k=chance.randint(0 if letters else 3, 60)))
        access = chance.choice([(), ("public",), ("user:a/1",), ("department:a/7", "user:a/2")])
        title = " ".join(chance.choices(WORDS, k=2)) if number % 3 else "员工手册"
        section = Section("", f"{body} n{number}")
        documents.append(Document(f"{seed}-{number}", title, (section,), access=access))
    return documents


def both(open_: Open, node: Node) -> tuple[Knowledge, Knowledge]:
    embedded = open_(node.url, "e", SHENQIAO_KNOWLEDGE_BACKEND="embedded")
    return embedded, open_(node.url, "n")


def assert_alike(
    embedded: Knowledge, elastic: Knowledge, query: str, scope: Scope, limit: int = 10
) -> None:
    """The same scores at each rank; the same passages but for equal scores at the end."""
    asked = terms(query, 512)
    first = embedded.index.search(asked, scope, limit=limit)
    second = elastic.index.search(asked, scope, limit=limit)
    assert [hit.score for hit in second] == pytest.approx([hit.score for hit in first], abs=1e-3)
    if first:
        clear = first[-1].score + 1e-4
        sets = [{hit.passage_id for hit in hits if hit.score > clear} for hits in (first, second)]
        assert sets[0] == sets[1]


def test_the_handbook_is_ranked_alike(node: Node, opened: Open) -> None:
    embedded, elastic = both(opened, node)
    for knowledge in (embedded, elastic):
        ingest(knowledge, "handbook", [HANDBOOK])
    for asked in questions(load(), held_out=True).values():
        for query, _ in asked:
            results = [
                search(knowledge, Question(query, top_k=10)) for knowledge in (embedded, elastic)
            ]
            assert results[0].found == results[1].found, query
            assert_alike(embedded, elastic, query, Scope({"handbook": Fields()}))


@pytest.fixture
def pair(node: Node, opened: Open) -> tuple[Knowledge, Knowledge]:
    """Both engines with the same two bases."""
    embedded, elastic = both(opened, node)
    for knowledge in (embedded, elastic):
        put(knowledge, "one", made_up(1, 400))
        put(knowledge, "two", made_up(2, 200))
    return embedded, elastic


def test_bases_weights_rights_and_languages_count_alike(pair: tuple[Knowledge, Knowledge]) -> None:
    chance = random.Random(7)
    scopes = [
        Scope({"one": Fields()}, frozenset({"*"})),
        Scope({"one": Fields(), "two": Fields()}),
        Scope({"one": Fields(1.5, 0.5), "two": Fields(0, 2)}, frozenset({"public", "user:a/1"})),
        Scope({"two": Fields()}, frozenset({"department:a/7"}), languages=frozenset({"zh"})),
        Scope({"one": Fields()}, languages=frozenset({"en", "zh"})),
        Scope({"nowhere": Fields()}),
    ]
    for _ in range(40):
        words = [*chance.choices(WORDS, k=2), "".join(chance.choices(HAN, k=chance.randint(1, 12)))]
        for scope in scopes:
            assert_alike(*pair, " ".join(words), scope)


def test_a_token_tells_as_much_in_both(pair: tuple[Knowledge, Knowledge]) -> None:
    tokens = [*HAN, *WORDS, "n7", "nowhere", "年假", "x" * 64]
    embedded, elastic = (knowledge.index.weights(tokens) for knowledge in pair)
    assert elastic == pytest.approx(embedded)
    assert pair[1].index.weights(tokens[:3]) == pytest.approx({t: embedded[t] for t in tokens[:3]})


def test_a_question_of_very_many_tokens_in_bases_of_many_weights_is_answered(
    pair: tuple[Knowledge, Knowledge],
) -> None:
    bases = {f"base{number}": Fields(number / 10) for number in range(40)}
    scope = Scope({**bases, "one": Fields()}, frozenset({"*"}))
    asked = [Term("n7"), *(Term(f"word{number}") for number in range(511))]
    assert pair[1].index.search(asked, scope, limit=1)


def conditions() -> Iterator[Filter]:
    """Each operator with each value, then some together."""
    single = []
    for operator in OPERATORS:
        for value in (*VALUES[:-1], "a", "b", "27", "pha", 100):
            given: object = value
            if operator in ("in", "not in"):
                given = [value, "Alpha"]
            elif operator in ("before", "after"):
                given = value if str(value)[:4] in ("2026", "1999") else 1.79e9
            single.append({"name": "key", "comparison_operator": operator, "value": given})
    single.append({"name": "key", "comparison_operator": "in", "value": []})
    single.append({"name": ["none", "other"], "comparison_operator": "is not", "value": "5"})
    chance = random.Random(3)
    together = [
        {"logical_operator": chance.choice(["and", "or"]), "conditions": chance.sample(single, 3)}
        for _ in range(30)
    ]
    for given in [*({"conditions": [one]} for one in single), *together]:
        parsed = parse(given)
        assert parsed is not None
        yield parsed


def test_conditions_mean_what_matches_says(node: Node, opened: Open) -> None:
    elastic = opened(node.url)
    metadata: dict[str, dict[str, Value]] = {"bare": {}, "other": {"other": "5"}}
    for number, value in enumerate(VALUES):
        metadata[f"v{number}"] = {"key": value, "other": number}
    put(
        elastic,
        "kb",
        [
            Document(name, "t", (Section("", "word"),), metadata=has)
            for name, has in metadata.items()
        ],
    )
    asked = 0
    for condition in conditions():
        scope = Scope({"kb": Fields()}, filter=condition)
        hits = elastic.index.search([Term("word")], scope, limit=100)
        stored = elastic.catalogue.passages([hit.passage_id for hit in hits])
        found = {passage.source_id for passage in stored.values()}
        assert found == {name for name, has in metadata.items() if matches(condition, has)}, (
            condition
        )
        asked += 1
    assert asked > 400


@pytest.mark.parametrize("operator", ["contains", "not contains", "start with", "end with", "is"])
def test_values_that_are_longer_than_a_pattern_are_compared_in_full_by_the_search(
    node: Node, opened: Open, operator: str
) -> None:
    elastic = opened(node.url)
    metadata: dict[str, dict[str, Value]] = {
        "a": {"key": "a" + "字" * 1500 + "a"},
        "b": {"key": "b" + "字" * 1500 + "b"},
        "c": {"key": "字" * 1500},
        "d": {},
    }
    put(
        elastic,
        "kb",
        [
            Document(name, name, (Section("", f"word {name * 9}"),), metadata=has)
            for name, has in metadata.items()
        ],
    )
    for value in ("a" + "字" * 1500, "字" * 1500 + "b", "字" * 1500):
        given = {"name": "key", "comparison_operator": operator, "value": value}
        condition = parse({"conditions": [given]})
        assert condition is not None
        result = search(elastic, Question("word", top_k=10, filter=condition))
        found = {passage.source_id for passage in result.passages}
        assert found == {name for name, has in metadata.items() if matches(condition, has)}


def test_ten_thousand_metadata_keys_leave_the_mapping_as_it_is(node: Node, opened: Open) -> None:
    elastic = opened(node.url)
    put(elastic, "kb", [Document("first", "t", (Section("", "word"),))])
    index = elastic.index.names.read  # type: ignore[attr-defined]  # of Elasticsearch
    before = node.call("GET", f"/{index}/_mapping")
    documents = [
        Document(
            f"d{number}",
            "t",
            (Section("", "word"),),
            metadata={f"key{number}-{key}": f"value {key}" for key in range(100)},
        )
        for number in range(100)
    ]
    put(elastic, "kb", documents)
    assert node.call("GET", f"/{index}/_mapping") == before
    condition = parse(
        {"conditions": [{"name": "key99-99", "comparison_operator": "is", "value": "value 99"}]}
    )
    scope = Scope({"kb": Fields()}, filter=condition)
    assert len(elastic.index.search([Term("word")], scope, limit=10)) == 1


def test_a_changed_file_replaces_its_passages_at_once(
    node: Node, opened: Open, tmp_path: Path
) -> None:
    elastic, reader = opened(node.url), opened(node.url)
    source = tmp_path / "a.txt"
    for word in ("apples", "bananas", "cherries"):
        source.write_text(word)
        ingest(elastic, "kb", [source])
        assert search(elastic, Question(word, top_k=1)).found
        assert search(reader, Question(word, top_k=1)).found
    assert search(elastic, Question("apples bananas", top_k=3)).passages == ()
    assert elastic.index.passage_count() == 1
