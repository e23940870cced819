"""What a person sees of a stream: one bubble that grows, and what is refused or counted against the bot."""

import pytest

from playground.wechat.ledger import Ledger
from playground.wechat.limits import BotLimits
from playground.wechat.streams import Streams


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def streams(ledger: Ledger) -> Streams:
    return Streams(ledger, BotLimits())


def show(streams: Streams, content: str, *, finish: bool = False) -> str:
    return streams.show("s1", user="zhang", chat="", msg_id="m1", content=content, finish=finish)


def test_a_stream_is_one_bubble_that_grows(streams: Streams, ledger: Ledger) -> None:
    for content in ("你", "你好", "你好"):
        assert show(streams, content) == ""
    assert show(streams, "你好。", finish=True) == ""
    (entry,) = ledger.seen("zhang")
    assert (entry["text"], entry["version"], entry["finish"]) == ("你好。", 3, True)
    assert entry["bytes"] == 9
    assert ledger.counts["stream_shrunk"] == 0


def test_a_change_wakes_who_has_seen_the_bubble_already(streams: Streams, ledger: Ledger) -> None:
    show(streams, "你")
    (before,) = ledger.seen("zhang")
    show(streams, "你好")
    (after,) = ledger.seen("zhang", after=before["changed"])
    assert (after["id"], after["text"]) == (before["id"], "你好")
    assert ledger.seen("zhang", after=after["changed"]) == []


def test_a_bubble_comes_with_the_first_content(streams: Streams, ledger: Ledger) -> None:
    assert show(streams, "") == ""
    assert ledger.seen("zhang") == []


def test_the_first_text_takes_the_place_of_a_progress_line(
    streams: Streams, ledger: Ledger
) -> None:
    show(streams, "⏳ 正在思考…")
    show(streams, "⏳ 检索…")
    (waiting,) = ledger.seen("zhang")
    show(streams, "年假")
    (entry,) = ledger.seen("zhang")
    assert waiting["text_at"] == 0
    assert entry["text_at"] >= entry["at"] > 0
    assert ledger.counts["stream_shrunk"] == 0


@pytest.mark.parametrize("content", ["年", "休假", "", "⏳ 正在思考…"])
def test_what_is_no_continuation_is_shown_and_counted(
    streams: Streams, ledger: Ledger, content: str
) -> None:
    show(streams, "年假")
    assert show(streams, content) == ""
    assert ledger.counts["stream_shrunk"] == 1
    assert ledger.seen("zhang")[0]["text"] == content


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("x" * 20480, ""),
        ("x" * 20481, "too long"),
        ("好" * 6827, "too long"),
        ("\ud800", "not utf-8"),
    ],
)
def test_the_bytes_of_a_content_are_counted(
    streams: Streams, ledger: Ledger, content: str, wrong: str
) -> None:
    assert show(streams, content) == wrong
    assert ledger.counts["stream_refused"] == bool(wrong)
    assert len(ledger.seen("zhang")) == (not wrong)


@pytest.mark.parametrize(
    ("content", "finish", "wrong"),
    [
        ("你好。", True, ""),
        ("你好。", False, "finished already and changed"),
        ("你好。！", True, "finished already and changed"),
    ],
)
def test_after_the_finish_only_the_same_is_right(
    streams: Streams, ledger: Ledger, content: str, finish: bool, wrong: str
) -> None:
    show(streams, "你好。", finish=True)
    assert show(streams, content, finish=finish) == wrong
    assert ledger.counts["stream_repeated"] == 1
    assert ledger.seen("zhang")[0]["text"] == "你好。"
