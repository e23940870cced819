"""Words in a stream: what leaves does not depend on the chunks, and nothing of a listed word leaves."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tool_server.model.moderation.folding import Folder, fold
from tool_server.model.moderation.screen import Screen
from tool_server.model.moderation.words import WordList

LIST = [
    "法轮", "法轮大法", "赌: 轮盘赌", "加VX", "ass", "drug: heroin for sale", "café", "か", "ガス", "각", "ab.c", "x-y",
    "轮子", "a", "ﬁt", "İz", "-网", "q̈w", "网.com", "大 法 好", "大",
]  # fmt: skip
WORDS = WordList(LIST)
# Small, so that examples are full of words, their beginnings and what hides them.
ALPHABET = st.sampled_from(
    "法轮大盘赌好加VXvxasSheroinfle bcéｶﾞガか\u3099\u0301\u0308각가\u1100\u1161\u11a8\u200b\ufe0f\u0338 *.-—，\n\tﬁİiz"
    "网com㊙qẅ ȩ\x01\x02\ud800\U0001f600ß"
)
TEXTS = st.text(ALPHABET, max_size=24)


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def screened(chunks: list[str], words: WordList = WORDS) -> tuple[str, str | None]:
    screen = Screen(words)
    out = "".join(screen.feed(chunk) for chunk in chunks) + screen.end()
    assert screen.feed("more") == "" or screen.hit is None
    return out, screen.hit


@given(TEXTS, st.lists(st.integers(0, 100), max_size=8))
@example("か\u3099", [1])
@example("加vx", [1])
@example("大 * 法", [1, 2, 3])
def test_any_cutting_lets_out_the_same(text: str, places: list[int]) -> None:
    assert screened(cut(text, places)) == screened([text])
    assert screened(list(text)) == screened([text])


@given(TEXTS)
def test_a_stream_finds_what_the_whole_text_holds(text: str) -> None:
    _, hit = screened(list(text))
    assert (hit is not None) == bool(WORDS.find(text))
    if hit is not None:
        assert hit == WORDS.find(text)[0].category


@given(TEXTS)
def test_a_text_without_a_word_leaves_whole(text: str) -> None:
    out, hit = screened(list(text))
    assert text.startswith(out)
    assert (out == text) == (hit is None)


@given(TEXTS, st.sampled_from(LIST), TEXTS)
def test_nothing_of_a_word_leaves(before: str, word: str, after: str) -> None:
    word = word.split(": ")[-1]
    text = before + word + after
    out, hit = screened(list(text))
    assert WORDS.find(out) == []
    if hit is not None:
        rest = text[len(out) :]
        assert any(WORDS.find(rest[:end]) for end in range(1, len(rest) + 1))


@given(TEXTS)
def test_what_is_held_back_is_short(text: str) -> None:
    screen = Screen(WORDS)
    left = 0
    for at, char in enumerate(text, 1):
        left += len(screen.feed(char))
        if screen.hit:
            return
        assert len(fold(text[left:at])) <= 2 * WORDS.longest + 2


@given(TEXTS, st.booleans())
def test_folding_piece_by_piece_is_folding_at_once(text: str, skip: bool) -> None:
    folder = Folder(waits=None, skip=skip)
    tokens = [token for char in text for token in folder.feed(char)] + folder.end()
    assert "".join(char for char, _ in tokens) == fold(text, skip=skip)
    assert [at for _, at in tokens] == sorted(at for _, at in tokens)


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4))
def test_any_list_on_any_text(text: str, entries: list[str]) -> None:
    lines = [f"w: {entry.strip()}" for entry in entries if fold(entry).strip("\x01\x02 ")]
    lines = [line for line in lines if len(line.splitlines()) == 1 and line.strip() != "w:"]
    if lines:
        words = WordList(lines)
        assert screened(list(text), words) == screened([text], words)
        assert (screened([text], words)[1] is None) == (words.find(text) == [])


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("我爱法轮大法", "我爱"),
        ("讲法 轮", "讲"),
        ("讲法**轮**", "讲"),
        ("讲法\u200b轮", "讲"),
        ("讲法。轮到你", None),
        ("讲法\n轮到你", None),
        ("讲法" + "*" * 16 + "轮", "讲"),
        ("讲法" + "*" * 17 + "轮", None),
        ("讲法" + "\u200b" * 40 + "轮", "讲"),
        ("the class passes", None),
        ("what an ASS!", "what an "),
        ("ａｓｓ", ""),
        ("看ass片", "看"),
        ("HEROIN  for\nsale now", ""),
        ("heroin for sales", None),
        ("cafe", None),
        ("a cafe\u0301 here", ""),
        ("が", None),
        ("か\u3099", None),
        ("加vx号", ""),
        ("加vxs", None),
    ],
)
def test_what_matches_and_what_does_not(text: str, out: str | None) -> None:
    words = WordList([entry for entry in LIST if entry not in ("a", "大")] + ["that: a cafe\u0301"])
    if out is None:
        assert screened(list(text), words) == (text, None)
    else:
        assert screened(list(text), words)[0] == out
        assert screened(list(text), words)[1] is not None


def test_a_reader_waits_only_for_what_may_become_a_word() -> None:
    screen = Screen(WordList(["法轮大法"]))
    assert [screen.feed(text) for text in ("你好", "，法", "轮", "子")] == [
        "你好",
        "，",
        "",
        "法轮子",
    ]
    assert screen.hit is None


def test_a_text_may_go_on_after_its_end_and_a_word_across_is_found() -> None:
    screen = Screen(WordList(["法轮大法"]))
    assert screen.feed("法轮") + screen.end() == "法轮"
    assert screen.feed("大法") == ""
    assert screen.hit == "listed"
