"""Tokens: the same for passages and questions, in Chinese and English."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_server.knowledge.tokens import TOKEN_LIMIT, tokenize


def test_han_characters_come_alone_and_in_pairs() -> None:
    assert tokenize("带薪年假") == ["带", "带薪", "薪", "薪年", "年", "年假", "假"]


def test_words_are_lowered_stemmed_and_without_the_stop_list() -> None:
    assert tokenize("The holidays of Tesla's EMPLOYEES") == ["holidai", "tesla", "s", "employe"]


def test_full_width_letters_and_digits_are_the_same_as_others() -> None:
    assert tokenize("ＶＰＮ１２") == tokenize("VPN12") == ["vpn12"]


def test_mixed_text_keeps_its_order() -> None:
    assert tokenize("VPN 密码") == ["vpn", "密", "密码", "码"]


@pytest.mark.parametrize("text", ["IT 部门", "IT部门", "it部门", "ＩＴ部门"])
def test_it_is_a_word_in_capitals_and_in_front_of_a_han_character(text: str) -> None:
    assert tokenize(text)[0] == "it"


@pytest.mark.parametrize("text", ["it is", "It was", "I will", "A"])
def test_other_stop_words_are_dropped(text: str) -> None:
    assert tokenize(text) == []


@given(st.text())
def test_no_token_is_empty_too_long_or_has_a_space(text: str) -> None:
    for token in tokenize(text):
        assert 0 < len(token) <= TOKEN_LIMIT
        assert not any(character.isspace() for character in token)
