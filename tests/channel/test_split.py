"""Cutting answers: never over the limit, never half of what is one, at sentence ends where possible, code closed."""

import re

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from tool_server.channel.graphemes import boundary
from tool_server.channel.split import open_fence, split

SENTENCE = "员工每年享有十二天带薪年假。"
FAMILY = "👨‍👩‍👧‍👦"
FLAG = "🇨🇳"
LINK = '<a href="https://kb.corp.cn/handbook/leave">员工手册</a>'
LINE = [
    "员工每年享有十二天。",
    "```python",
    "```",
    "    return 1",
    "",
    "word " * 9,
    f"{FAMILY}{FLAG}",
]
LINES = st.lists(st.sampled_from(LINE), max_size=40)


def without_space(texts: list[str]) -> str:
    return "".join("".join(texts).split())


@given(st.text(), st.integers(min_value=8, max_value=300))
def test_no_piece_is_over_the_limit_and_nothing_but_space_is_lost(text: str, limit: int) -> None:
    text = text.encode("utf-8", "ignore").decode()
    pieces = split(text, limit)
    assert all(0 < len(piece.encode()) <= limit for piece in pieces)
    assert without_space(pieces) == without_space([text])


@given(LINES.map("\n".join), st.integers(min_value=60, max_value=300))
@tried(deadline=None)
def test_every_piece_closes_the_code_that_it_opens(text: str, limit: int) -> None:
    text = text.strip() if open_fence(text) is None else f"{text}\n```".strip()
    pieces = split(text, limit)
    assert all(0 < len(piece.encode()) <= limit for piece in pieces)
    assert all(open_fence(piece) is None for piece in pieces)
    assert without_space([re.sub("```(python)?", "", piece) for piece in pieces]) == without_space(
        [re.sub("```(python)?", "", text)]
    )


@given(
    st.lists(st.sampled_from([FAMILY, FLAG, "é", "한", "👍🏽", "a", "汉"]), max_size=80),
    st.integers(30, 90),
)
def test_what_a_person_sees_as_one_character_is_never_torn(parts: list[str], limit: int) -> None:
    pieces = split("".join(parts), limit)
    flags = [piece.count("🇨") == piece.count("🇳") for piece in pieces]
    assert all(flags)
    assert not any(piece.startswith(("\u200d", "\u0301", "🏽", "🇳")) for piece in pieces)
    assert not any(piece.endswith("\u200d") for piece in pieces)


@given(st.integers(0, 120), st.integers(140, 200))
def test_a_link_is_never_cut(before: int, limit: int) -> None:
    text = f"{'汉' * before}{LINK}{'汉' * 60}"
    assert sum(LINK in piece for piece in split(text, limit)) == 1


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


def test_code_that_is_cut_goes_on_with_its_language_and_its_indents() -> None:
    code = (
        "```python\n" + "\n".join(f"    line_{number} = {number}" for number in range(12)) + "\n```"
    )
    pieces = split(f"看代码：\n\n{code}\n\n完。", 160)
    assert len(pieces) > 1
    assert pieces[0].endswith("\n```")
    assert pieces[1].startswith("```python\n    line_")
    assert pieces[-1].endswith("完。")


def test_boundaries_are_those_of_unicode() -> None:
    regex = pytest.importorskip("regex")
    text = f"a{FAMILY}é한{FLAG}{FLAG}👍🏽\r\n각각क्‍ष汉1️⃣"
    ends = {0, *(found.end() for found in regex.finditer(r"\X", text))}
    assert {at for at in range(len(text) + 1) if boundary(text, at) == at} == ends
