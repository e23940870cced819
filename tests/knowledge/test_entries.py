"""From ranked passages to a result: sections, copies, highlights, threshold, language; filters before `top_k`."""

from collections.abc import Sequence

import pytest

from tool_server.knowledge.cut import cut
from tool_server.knowledge.document import Document, Section, Value
from tool_server.knowledge.filters import parse
from tool_server.knowledge.highlight import highlight
from tool_server.knowledge.index.embedded import DEPTHS
from tool_server.knowledge.places import held, spans
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.knowledge.tokens import distinct, tokenize


def store(knowledge: Knowledge, *documents: Document, limit: int = 600, base: str = "kb") -> None:
    pieces = {document.source_id: cut(document, limit) for document in documents}
    with knowledge.index.writing(knowledge.catalogue) as writer:
        knowledge.catalogue.put(base, documents, pieces)
        writer.sync()


def text(source: str, *sections: str, **metadata: Value) -> Document:
    return Document(source, source, tuple(Section("", one) for one in sections), metadata=metadata)


def sources(knowledge: Knowledge, question: Question) -> list[str]:
    return [passage.source_id for passage in search(knowledge, question).passages]


def test_a_passage_comes_with_its_whole_section_once(knowledge: Knowledge) -> None:
    paragraphs = [f"Parking rule {number} is about gate {number}." for number in range(6)]
    store(knowledge, text("a", "\n\n".join(paragraphs), "Lunch is at noon."), limit=40)
    (passage,) = search(knowledge, Question("parking gate", top_k=5)).passages
    assert passage.content.split("\n") == paragraphs


def test_of_a_section_that_is_too_long_what_is_around_the_passage_comes(
    knowledge: Knowledge,
) -> None:
    filler = "Nothing of interest stands in this long sentence at all. " * 5
    words = [f"{filler}{'Zeppelin.' if number == 10 else f'Word{number}.'}" for number in range(20)]
    store(knowledge, text("a", "\n\n".join(words)), limit=300)
    best, *_ = search(knowledge, Question("zeppelin", top_k=1)).passages
    assert best.ordinal == 10
    assert "Word9." in best.content
    assert "Word11." in best.content
    assert len(best.content) <= knowledge.settings.knowledge_parent_characters


def test_two_passages_of_a_long_section_do_not_repeat_each_other(knowledge: Knowledge) -> None:
    words = [f"Zeppelin {number} " + f"flight{number} " * 40 for number in range(20)]
    store(knowledge, text("a", "\n\n".join(words)), limit=400)
    contents = [p.content for p in search(knowledge, Question("zeppelin", top_k=5)).passages]
    paragraphs = [paragraph for content in contents for paragraph in content.split("\n")]
    assert len(paragraphs) == len(set(paragraphs)) > 5


def test_copies_stand_behind_the_passage_that_they_repeat_and_leave_no_gap(
    knowledge: Knowledge,
) -> None:
    rule = "Every zeppelin leaves the hangar at noon and is back before it is dark, says the rule. "
    same = [
        Document(f"copy{number}", "Rules", (Section("", rule * 4 + f"v{number}"),))
        for number in range(30)
    ]
    others = [text(f"other{number}", f"zeppelin {'x' * number}") for number in range(2)]
    store(knowledge, *same, *others)
    passages = search(knowledge, Question("when leaves the zeppelin its hangar", top_k=3)).passages
    assert len(passages) == 3
    assert passages[0].source_id.startswith("copy")
    assert {copy.source_id for copy in passages[0].copies} <= {one.source_id for one in same}
    assert len(passages[0].copies) == 29
    assert {passage.source_id for passage in passages[1:]} == {"other0", "other1"}
    scores = [passage.score for passage in passages]
    assert scores == sorted(scores, reverse=True)


def test_the_same_words_under_another_title_are_another_source(knowledge: Knowledge) -> None:
    rule = (Section("", "本规定自发布之日起施行。"),)
    store(knowledge, Document("a", "停车管理规定", rule), Document("b", "食堂就餐办法", rule))
    assert len(sources(knowledge, Question("发布之日起施行", top_k=5))) == 2


def test_a_threshold_drops_weaker_passages(handbook: Knowledge) -> None:
    every = search(handbook, Question("年假有几天", top_k=5)).passages
    best = search(handbook, Question("年假有几天", top_k=5, threshold=every[1].score)).passages
    assert 1 <= len(best) < len(every)
    assert not search(handbook, Question("年假有几天", threshold=1.0)).passages


def test_a_search_in_one_language_finds_that_language(handbook: Knowledge) -> None:
    question = "annual leave 年假"
    for language in ("zh", "en"):
        found = search(handbook, Question(question, top_k=5, language=language)).passages
        assert {passage.language for passage in found} == {language}


def test_hybrid_without_a_second_leg_is_lexical_and_says_so(handbook: Knowledge) -> None:
    hybrid = search(handbook, Question("年假", mode="hybrid"))
    assert (hybrid.mode, hybrid.reason) == ("lexical", "No embedding model is configured.")
    assert hybrid.passages == search(handbook, Question("年假")).passages


def test_a_filter_counts_before_top_k(knowledge: Knowledge) -> None:
    """Whatever share of the ranking it leaves, also where the first that it means stands far down."""
    shares = (1, 2, 10, 400, 700)
    documents = [
        text(
            f"d{number:04}",
            "zeppelin " + "and so on " * (number % 97),
            **{f"n{share}": number % share for share in shares},
        )
        for number in range(DEPTHS[1] + 800)
    ]
    store(knowledge, *documents)
    for share in shares:
        conditions = [{"name": f"n{share}", "comparison_operator": "=", "value": share - 1}]
        filtered = Question("zeppelin", top_k=5, filter=parse({"conditions": conditions}))
        found = search(knowledge, filtered).passages
        assert found == search(knowledge, filtered).passages
        assert [passage.metadata[f"n{share}"] for passage in found] == [share - 1] * 5


def test_a_filter_only_narrows(handbook: Knowledge) -> None:
    everything = sources(handbook, Question("年假", top_k=50))
    conditions = [{"name": "nothing", "comparison_operator": "empty"}]
    narrowed = Question("年假", top_k=50, filter=parse({"conditions": conditions}))
    assert sources(handbook, narrowed) == everything
    conditions = [{"name": "nothing", "comparison_operator": "not empty"}]
    assert sources(handbook, Question("年假", filter=parse({"conditions": conditions}))) == []


def marked(content: str, question: str) -> Sequence[tuple[str, list[str]]]:
    weights = dict.fromkeys(distinct(question, 100), 1.0)
    return [
        (fragment.text, [fragment.text[slice(*mark)] for mark in fragment.marks])
        for fragment in highlight(content, weights)
    ]


def test_a_highlight_is_the_sentence_with_neighbouring_characters_joined() -> None:
    content = "公司成立于一九九八年。员工每年享有带薪年假。停车免费。"
    assert marked(content, "带薪年假") == [("员工每年享有带薪年假。", ["带薪年假"])]


def test_a_highlight_marks_words_by_their_stems() -> None:
    assert marked("Parking is free. We walk.", "walking") == [("We walk.", ["walk"])]


def test_a_long_sentence_is_cut_around_its_mark() -> None:
    ((fragment, marks),) = marked("前" * 500 + "年假" + "后" * 500, "年假")
    assert (len(fragment), marks) == (120, ["年假"])


def test_full_width_and_ligatures_keep_their_places() -> None:
    text = "ﬁle ＡＢＣ，年假"
    found = spans(text, ["abc", "年假", "年", "假"])
    assert [text[slice(*span)] for span in found] == ["ＡＢＣ", "年假"]


@pytest.mark.parametrize(
    "text", ["员工每年享有 12 天带薪年假。", "Tesla's walking ＡＢＣ ﬁles 年假x", ""]
)
def test_held_are_the_tokens_that_the_index_has(text: str) -> None:
    asked = {*tokenize(text), *tokenize("年假 walk 假期 abc other"), "天带"}
    assert held(text, asked) == asked.intersection(tokenize(text))
