"""A question's terms: each token once, with the weight that an index gives it."""

import math

from tool_server.knowledge.index import Fields, Scope
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.knowledge.terms import Term, terms
from tool_server.knowledge.tokens import telling, tokenize


def test_a_question_asks_for_each_token_once_and_not_for_too_many() -> None:
    assert [term.token for term in terms("年年年假", 10)] == ["年", "年年", "年假", "假"]
    assert len(terms("".join(chr(0x4E00 + n) for n in range(600)), 512)) == 512


def test_what_a_question_repeats_counts_more() -> None:
    weights = {term.token: term.weight for term in terms("合同 合同 租", 10)}
    assert weights["合同"] == math.sqrt(2) * weights["租"]


def test_characters_of_asking_count_less() -> None:
    weights = {term.token: term.weight for term in terms("房租吗", 10)}
    assert weights["房租"] == 1 > weights["租吗"] == weights["吗"] > 0


def test_single_characters_do_not_count_in_titles() -> None:
    assert {term.token for term in terms("年假 VPN 5", 10) if term.names} == {"年假", "vpn", "5"}


def test_tokens_of_asking_tell_nothing() -> None:
    assert telling(tokenize("年假有几天")) == ["年", "年假", "假", "天"]


def test_a_question_of_nothing_but_such_characters_tells_what_it_has() -> None:
    assert telling(tokenize("公司规定")) == ["公", "公司", "司", "司规", "规", "规定", "定"]


def test_such_a_question_is_found(handbook: Knowledge) -> None:
    """The handbook says 公司 here and there."""
    assert search(handbook, Question("公司", top_k=3)).found


def test_a_heavier_term_brings_its_passage_forward(handbook: Knowledge) -> None:
    def best(leave: float, password: float) -> str:
        asked = [Term("年假", leave), Term("密码", password)]
        hits = handbook.index.search(asked, Scope({"handbook": Fields()}), limit=1)
        return handbook.catalogue.passages([hits[0].passage_id])[hits[0].passage_id].text

    assert "年假" in best(10, 0.1)
    assert "密码" in best(0.1, 10)
