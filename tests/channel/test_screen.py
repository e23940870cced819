"""What a stream shows of an answer that grows: first things at once, the rest in its turn, never less than before."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.channel.conftest import incoming, job_of, ledger_of, worker_of
from tests.waiting import until
from tool_server.channel.job import Job
from tool_server.channel.schema import messages
from tool_server.channel.screen import SHOWN_BYTES, SHOWN_EVERY_S, LedgerScreen, Screens, ending
from tool_server.channel.streams import Streams
from tool_server.channel.work import Work
from tool_server.database import Database


@pytest.fixture
def work(database: Database) -> Work:
    return worker_of(database, "one")


@pytest.fixture
def job(database: Database, work: Work) -> Job:
    return make_job(database, work, 1)


def make_job(database: Database, work: Work, number: int) -> Job:
    ledger_of(database).claim(
        "acc", incoming(number, f"u{number}"), wait_until=time.time() + 60, stream=True
    )
    return job_of(work)


@pytest.fixture
def first_texts() -> list[float]:
    return []


@pytest.fixture
def every_s() -> float:
    """How often streams are written; an hour shows what is written without waiting for a turn."""
    return SHOWN_EVERY_S


@pytest.fixture
def screens(work: Work, first_texts: list[float], every_s: float) -> Iterator[Screens]:
    screens = Screens(work, first_texts.append, every_s=every_s)
    screens.start()
    yield screens
    screens.close()


def stored(database: Database, job: Job) -> str:
    row = Streams(database).look(job.account, stream_of(database, job))
    assert row is not None
    return row.stream


def stream_of(database: Database, job: Job) -> str:
    name = sa.select(messages.c.stream_id).where(messages.c.id == job.id)
    return str(database.read(lambda db: db.scalar(name)))


def silent(job: Job) -> LedgerScreen:
    return LedgerScreen(job, lambda: None)


def taken(screen: LedgerScreen) -> str:
    """What the screens' thread stores of this one."""
    content = screen.change()
    screen.stored = content or screen.stored
    return content


@pytest.mark.parametrize("every_s", [3600.0])
def test_progress_and_the_first_text_are_stored_at_once(
    database: Database, screens: Screens, job: Job, first_texts: list[float]
) -> None:
    screen = screens.open(job)
    screen.show("", progress="检索")
    until(lambda: stored(database, job) == "⏳ 检索…")
    screen.show("年", progress="")
    until(lambda: stored(database, job) == "年")
    until(lambda: first_texts)


def test_the_last_text_is_stored_without_another_call(
    database: Database, screens: Screens, job: Job, first_texts: list[float]
) -> None:
    screen = screens.open(job)
    for text in ("年", "年假", "年假有"):
        screen.show(text, progress="")
    until(lambda: stored(database, job) == "年假有")
    until(lambda: first_texts)
    assert len(first_texts) == 1


def test_what_is_done_is_written_no_more(database: Database, screens: Screens, job: Job) -> None:
    screen = screens.open(job)
    screens.done(job)
    screen.show("zu spät", progress="")
    screens.paint()
    assert stored(database, job) == ""
    assert screens.count() == 0


def test_reasoning_is_never_shown(job: Job) -> None:
    screen = silent(job)
    screen.show("<think>geheim", progress="写回答")
    assert taken(screen) == "⏳ 写回答…"
    screen.show("<think>geheim</think>年假", progress="")
    assert taken(screen) == "年假"


def test_what_was_shown_stays_when_the_app_takes_it_back(job: Job) -> None:
    screen = silent(job)
    screen.show("年假有", progress="")
    assert taken(screen) == "年假有"
    screen.show("别的", progress="")
    assert taken(screen) == ""
    assert screen.shown == "年假有"


def test_a_new_worker_goes_on_from_what_people_see_already(job: Job) -> None:
    screen = silent(replace(job, stream="年假有"))
    for text in ("年", "年假有"):
        screen.show(text, progress="检索")
        assert taken(screen) == ""
    screen.show("年假有 12 天", progress="")
    assert taken(screen) == "年假有 12 天"


def test_a_progress_line_of_an_earlier_worker_is_no_text(job: Job) -> None:
    screen = silent(replace(job, stream="⏳ 检索…"))
    assert screen.shown == ""
    screen.show("年", progress="")
    assert taken(screen) == "年"


def test_a_growing_text_leaves_room_for_the_cut_of_a_long_answer(job: Job) -> None:
    screen = silent(job)
    screen.show("好" * 9000, progress="")
    assert len(taken(screen).encode()) <= SHOWN_BYTES


@pytest.mark.parametrize(("shown", "text"), [("", "抱歉。"), ("年假", "年假\n\n抱歉。")])
def test_a_sentence_of_ours_stands_below_what_people_see(shown: str, text: str) -> None:
    assert ending(shown, "抱歉。") == text


def test_fifty_streams_are_one_transaction_a_turn(
    database: Database, screens: Screens, work: Work
) -> None:
    jobs = [make_job(database, work, number) for number in range(50)]
    opened = [screens.open(job) for job in jobs]
    started = time.monotonic()
    for token in range(1, 60):
        for screen in opened:
            screen.show("字" * token, progress="")
        time.sleep(0.02)
    until(lambda: all(stored(database, job) == "字" * 59 for job in jobs))
    print(f"50 streams of 59 tokens: {time.monotonic() - started:.2f} s")  # noqa: T201
