"""Tokens: the same for passages and questions, in Chinese and English."""

from hypothesis import given
from hypothesis import strategies as st

from tool_server.knowledge.tokens import TOKEN_LIMIT, distinct, telling, tokenize


def test_han_characters_come_alone_and_in_pairs() -> None:
    assert tokenize("带薪年假") == ["带", "带薪", "薪", "薪年", "年", "年假", "假"]


def test_words_are_lowered_stemmed_and_without_the_stop_list() -> None:
    assert tokenize("The holidays of Tesla's EMPLOYEES") == ["holidai", "tesla", "s", "employe"]


def test_full_width_letters_and_digits_are_the_same_as_others() -> None:
    assert tokenize("ＶＰＮ１２") == tokenize("VPN12") == ["vpn12"]


def test_mixed_text_keeps_its_order() -> None:
    assert tokenize("VPN 密码") == ["vpn", "密", "密码", "码"]


def test_a_question_asks_for_each_token_once_and_not_for_too_many() -> None:
    assert distinct("年年年假", 10) == ["年", "年年", "年假", "假"]
    assert len(distinct("".join(chr(0x4E00 + n) for n in range(600)), 512)) == 512


def test_tokens_of_asking_tell_nothing() -> None:
    assert telling(tokenize("年假有几天")) == ["年", "年假", "假", "天"]


@given(st.text())
def test_no_token_is_empty_too_long_or_has_a_space(text: str) -> None:
    for token in tokenize(text):
        assert 0 < len(token) <= TOKEN_LIMIT
        assert not any(character.isspace() for character in token)
