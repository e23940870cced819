"""Lines of Chinese and English: nothing lost, nothing too wide, no mark on the wrong side of a break."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_server.pictures.wrap import CLOSING, OPENING, Look, Span, plain, wrap

WORDS = st.text(
    alphabet=st.sampled_from(
        "员工出差应先提交申请，。、；：？！）”」（“「 abcdefg XYZ-0123.,()%😀é\n"
    ),
    max_size=200,
)
WIDTHS = st.integers(min_value=2, max_value=30)


def measure(text: str, look: Look) -> float:
    """As on a typewriter: a Han character takes two places, bold a little more."""
    places = sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    return places * (1.1 if look.bold else 1.0)


def lines_of(text: str, width: float) -> list[str]:
    return [plain(line) for line in wrap([Span(text)], width, measure)]


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(WORDS, WIDTHS)
def test_nothing_is_lost_and_nothing_is_added(text: str, width: int) -> None:
    assert squeezed("".join(lines_of(text, width))) == squeezed(text)


@given(WORDS, WIDTHS)
def test_no_line_is_too_wide(text: str, width: int) -> None:
    assert all(measure(line, Look()) <= width or len(line) == 1 for line in lines_of(text, width))


@given(st.text(alphabet="员工出差应先提交申请，。、（“”）", max_size=200), st.integers(12, 30))
def test_no_line_of_chinese_begins_with_a_closing_mark_or_ends_with_an_opening_one(
    text: str, width: int
) -> None:
    lines = lines_of(text, width)
    for before, after in itertools.pairwise(lines):
        torn = before[-1] in CLOSING | OPENING and after[0] in CLOSING | OPENING
        assert torn or (after[0] not in CLOSING and before[-1] not in OPENING)


@given(st.lists(st.text(alphabet="abcXYZ", min_size=1, max_size=8), max_size=30))
def test_a_word_that_fits_a_line_is_never_torn(words: list[str]) -> None:
    assert " ".join(lines_of(" ".join(words), 8)).split() == words


@given(WORDS, st.integers(1, 199))
def test_looks_change_no_break_and_stay_with_their_letters(text: str, at: int) -> None:
    spans = [Span(text[:at], Look(link=True)), Span(text[at:])]
    lines = wrap(spans, 20, measure)
    assert [plain(line) for line in lines] == lines_of(text, 20)
    shown = squeezed("".join(s.text for line in lines for s in line if s.look.link))
    assert shown == squeezed(text[:at])


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("年假有十二天。", 12, ["年假有十二", "天。"]),  # the stop would begin a line
        ("甲乙丙丁戊（己）", 12, ["甲乙丙丁戊", "（己）"]),
        ("see the policy now", 10, ["see the", "policy now"]),
        ("第1行\n\n第2行", 12, ["第1行", "", "第2行"]),
        ("internationalisation。", 10, ["internatio", "nalisatio", "n。"]),
        ("    x = 1", 12, ["    x = 1"]),
        ("", 12, [""]),
    ],
)
def test_a_text_breaks_where_a_typesetter_would(text: str, width: int, lines: list[str]) -> None:
    assert lines_of(text, width) == lines


def test_a_cluster_is_never_torn() -> None:
    family = "👨‍👩‍👧"
    assert all(line.count(family) * 5 == len(line) for line in lines_of(family * 9, 11) if line)
