"""The operator's list: its form, what makes it bad, and that a change needs no restart."""

import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tool_server.model.moderation.service import Moderation
from tool_server.model.moderation.words import ENTRY_CHARACTERS, ListError, WordFile, WordList, read
from tool_server.settings import SettingsError, load


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, content: str | bytes) -> None:
    """As a careful operator does it: a new file in the old one's place."""
    draft = path.with_suffix(".new")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


def look_twice(words: WordFile, clock: Clock) -> WordList:
    for _ in range(2):
        clock.now += 2
        words.current()
    return words.current()


def test_lines_have_categories_and_comments() -> None:
    words = WordList(
        ["# a list", "", "bomb", " 政治 ", "drugs: crack cocaine", "赌博：轮盘", "http://bad.example", "a: b: c"]
    )  # fmt: skip
    assert words.categories == ("a", "drugs", "listed", "赌博")
    texts = {"a bomb": "listed", "政治": "listed", "Crack  Cocaine!": "drugs", "轮盘": "赌博"}
    texts |= {"see http://bad.example/": "listed", "so b: c it is": "a"}
    assert {text: words.find(text)[0].category for text in texts} == texts
    assert words.find("轮盘")[0].line == 6
    assert words.find("赌博") == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("好\nab\n".encode("gb18030"), "line 1: not UTF-8"),
        ("a\n\u200b\ufe0f\n", "line 2: nothing is left"),
        ("a\n" + "字" * (ENTRY_CHARACTERS + 1), "line 2: more than"),
        ("# nothing\n\n", "no entry"),
        ("", "no entry"),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_without_its_words(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    path = tmp_path / "words"
    write(path, content)
    with pytest.raises(ListError, match=reason) as raised:
        read(path)
    assert "字" not in str(raised.value)
    with pytest.raises(SettingsError, match=r"SHENQIAO_MODEL_MODERATION_WORDS.*" + reason):
        Moderation(load({"SHENQIAO_MODEL_MODERATION_WORDS": str(path)}), CollectorRegistry())


def test_a_byte_order_mark_is_no_word(tmp_path: Path) -> None:
    write(tmp_path / "words", b"\xef\xbb\xbf# a list\r\nbomb\r\n")
    words = read(tmp_path / "words")
    assert (len(words), words.find("the bomb")[0].line) == (1, 2)


def test_a_changed_file_is_read_without_a_restart(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "words"
    write(path, "old")
    words = WordFile(path, clock=clock)
    write(path, "new\nnewer")
    assert words.current().find("old"), "not looked at again yet"
    now = look_twice(words, clock)
    assert (len(now), now.find("old"), bool(now.find("new"))) == (2, [], True)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", None])
def test_a_file_that_goes_bad_leaves_the_last_good_list(
    tmp_path: Path, content: bytes | None
) -> None:
    clock, path = Clock(), tmp_path / "words"
    write(path, "old")
    words = WordFile(path, clock=clock)
    path.unlink() if content is None else write(path, content)
    assert look_twice(words, clock).find("old")
    assert not words.good
    write(path, "new")
    assert look_twice(words, clock).find("new")
    assert words.good


def test_a_file_that_is_still_being_written_is_left_alone(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "words"
    write(path, "old")
    words = WordFile(path, clock=clock)
    for half in ("n", "ne", "new\nol"):
        path.write_text(half)
        clock.now += 2
        assert words.current().find("old")


def test_a_bad_list_shows_in_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "words"
    write(path, "a\nb")
    registry = CollectorRegistry()
    moderation = Moderation(load({"SHENQIAO_MODEL_MODERATION_WORDS": str(path)}), registry)
    assert registry.get_sample_value("shenqiao_moderation_entries") == 2
    assert registry.get_sample_value("shenqiao_moderation_list_bad") == 0
    assert moderation.available


def test_separators_count_where_the_operator_says_so() -> None:
    assert WordList(["法轮"]).find("法 轮")
    assert WordList(["法轮"], skip=False).find("法 轮") == []
    assert WordList(["法轮"], skip=False).find("法\u200b轮")


@pytest.mark.quiet
def test_ten_thousand_words_cost_a_short_text_less_than_ten_milliseconds() -> None:
    words = WordList([f"{chr(0x4E00 + n % 3000)}{chr(0x5000 + n % 2999)}词" for n in range(10_000)])
    text = "今天天气很好，我们去公园散步吧。" * 60
    words.find(text)
    started = time.process_time()
    assert words.find(text) == []
    assert time.process_time() - started < 0.01
