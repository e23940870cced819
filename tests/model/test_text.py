"""From tokens to text: whole characters, stop strings, reasoning, whatever the chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_server.model.text import Detokenizer, Piece, ReasoningSplitter, StopStrings

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"))


def decode_bytes(tokens: object) -> str:
    return bytes(tokens).decode("utf-8", "replace")  # type: ignore[call-overload, no-any-return]


@given(TEXT, st.integers(1, 5), st.booleans())
def test_bytes_become_text_only_as_whole_characters(text: str, size: int, back: bool) -> None:
    detokenizer = Detokenizer(decode_bytes, looks_back=back)
    data = text.encode()
    shown = [detokenizer.feed(list(data[at : at + size])) for at in range(0, len(data), size)]
    assert "\ufffd" not in "".join(shown)
    assert "".join(shown) + detokenizer.end() == text


@given(TEXT, TEXT.filter(bool), TEXT, st.integers(1, 7))
def test_nothing_of_a_stop_string_and_after_it_is_shown(
    before: str, stop: str, after: str, size: int
) -> None:
    whole = before + stop + after
    stops = StopStrings([stop])
    shown = [stops.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
    assert "".join(shown) == whole[: whole.index(stop)]
    assert stops.hit


def test_what_only_looks_like_a_stop_string_is_shown_in_the_end() -> None:
    stops = StopStrings(["END"])
    assert stops.feed("the EN") == "the "
    assert stops.end() == "EN"
    assert not stops.hit


def split(text: str, size: int, *, inside: bool) -> list[Piece]:
    splitter = ReasoningSplitter(inside=inside)
    pieces = [p for at in range(0, len(text), size) for p in splitter.feed(text[at : at + size])]
    return pieces + splitter.end()


def texts(pieces: list[Piece]) -> tuple[str, str]:
    reasoning = "".join(piece.text for piece in pieces if piece.reasoning)
    return reasoning, "".join(piece.text for piece in pieces if not piece.reasoning)


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    ("text", "inside", "expected"),
    [
        ("<think>\nhm\n</think>\n\n12 days", False, ("hm\n", "12 days")),
        ("hm\n</think>\n\n12 days", True, ("hm\n", "12 days")),
        ("12 days", False, ("", "12 days")),
        ("a < b and <thin", False, ("", "a < b and <thin")),
        ("never ends", True, ("never ends", "")),
    ],
)
def test_reasoning_is_told_from_the_answer(
    text: str, inside: bool, expected: tuple[str, str], size: int
) -> None:
    assert texts(split(text, size, inside=inside)) == expected
