"""Cutting answers: never over the limit, never half a character, at sentence ends where possible."""

from hypothesis import given
from hypothesis import strategies as st

from tool_server.channel.split import split

SENTENCE = "员工每年享有十二天带薪年假。"


@given(st.text(), st.integers(min_value=8, max_value=300))
def test_no_piece_is_over_the_limit_and_nothing_but_space_is_lost(text: str, limit: int) -> None:
    text = text.encode("utf-8", "ignore").decode()
    pieces = split(text, limit)
    assert all(0 < len(piece.encode()) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_long_text_is_cut_at_sentence_ends() -> None:
    pieces = split(SENTENCE * 100, 2048)
    assert len(pieces) == 3
    assert all(piece.endswith("。") for piece in pieces)


def test_a_text_without_any_place_to_cut_is_cut_between_characters() -> None:
    pieces = split("汉" * 1000, 2048)
    assert [len(piece) for piece in pieces] == [682, 318]


def test_a_number_is_not_taken_for_a_sentence_end() -> None:
    assert split("The limit is 3.14159 units of it. More text here.", 36)[0].endswith(
        "units of it."
    )
