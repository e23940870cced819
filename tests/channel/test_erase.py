"""Deleting: old messages go with all that belongs to them, and of a person who is erased nothing is left to read."""

import time

import pytest
import sqlalchemy as sa

from tests.channel.conftest import claim, job_of, ledger_of, worker_of
from tool_server.channel.erase import CHILDREN, DAY_S, SHELL_S, Eraser, forget
from tool_server.channel.job import LostLease
from tool_server.channel.ledger import Ledger
from tool_server.channel.schema import conversations, messages, metadata, tickets
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.settings import Settings


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return ledger_of(database)


@pytest.fixture
def work(database: Database) -> Work:
    return worker_of(database, "one")


def answer(work: Work) -> None:
    job = job_of(work)
    work.settle(job, "die Antwort", bodies=["body"], reply=None, dify="conv")
    work.sent(job, work.pieces(job)[0], "p", last=True)


def age(database: Database, number: int, seconds: float) -> None:
    older = {"received_at": messages.c.received_at - seconds}
    database.write(
        lambda db: db.execute(
            sa.update(messages).where(messages.c.platform_id == str(number)).values(**older)
        )
    )


def count(database: Database, table: sa.Table) -> int:
    return database.read(lambda db: db.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_what_is_older_than_it_may_be_kept_goes_with_all_of_its_rows(
    ledger: Ledger, work: Work, database: Database, settings: Settings
) -> None:
    claim(ledger, 1)
    answer(work)
    claim(ledger, 2, user="li")
    age(database, 1, 181 * DAY_S)
    Eraser(database, settings).sweep()
    assert ledger.timeline("acc", "1") is None
    assert ledger.timeline("acc", "2") is not None
    assert {table.name: count(database, table) for table in CHILDREN} == {
        **dict.fromkeys((table.name for table in CHILDREN), 0),
        "events": 1,
        "tickets": 1,
    }


def test_what_is_not_answered_yet_stays_however_old_it_is(
    ledger: Ledger, database: Database, settings: Settings
) -> None:
    claim(ledger, 1)
    age(database, 1, 500 * DAY_S)
    Eraser(database, settings).sweep()
    assert ledger.timeline("acc", "1") is not None


def test_old_messages_go_a_batch_at_a_time(
    ledger: Ledger, work: Work, database: Database, settings: Settings
) -> None:
    for number in range(5):
        claim(ledger, number)
        answer(work)
        age(database, number, 200 * DAY_S)
    eraser = Eraser(database, settings.model_copy(update={"channel_erase_batch": 2}))
    left = []
    for _ in range(3):
        eraser.sweep()
        left.append(count(database, messages))
    assert left == [3, 1, 0]


def test_of_an_erased_person_nothing_can_be_read_and_a_late_delivery_is_no_new_message(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    answer(work)
    claim(ledger, 2, user="li")
    gone = forget(database, "acc", "zhang")
    assert (gone["messages"], gone["deliveries"], gone["conversations"]) == (1, 1, 1)
    assert ledger.timeline("acc", "1") is None
    assert count(database, conversations) == 0
    text = _everything(database)
    assert "zhang" not in text
    assert "问题 1" not in text
    assert "Antwort" not in text
    assert "li" in text
    assert not claim(ledger, 1).new
    assert work.waiting(), "the other person's message is still there"


def test_a_message_in_work_is_taken_from_its_worker_when_its_person_is_erased(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    job = job_of(work)
    forget(database, "acc", "zhang")
    with pytest.raises(LostLease):
        work.settle(job, "answer", bodies=["body"], reply=None, dify="conv")
    assert not work.waiting()
    assert count(database, tickets) == 0


def test_the_shell_of_an_erased_message_goes_after_a_week(
    ledger: Ledger, database: Database, settings: Settings
) -> None:
    claim(ledger, 1)
    forget(database, "acc", "zhang")
    Eraser(database, settings).sweep()
    assert count(database, messages) == 1
    database.write(
        lambda db: db.execute(sa.update(messages).values(received_at=time.time() - SHELL_S - 1))
    )
    Eraser(database, settings).sweep()
    assert count(database, messages) == 0


def test_every_table_with_rows_of_a_message_is_named() -> None:
    """Whoever adds a table of texts must say that they are erased."""
    named = {table for table in metadata.tables.values() if "message_id" in table.c}
    assert named == set(CHILDREN)


def _everything(database: Database) -> str:
    return "\n".join(
        str(row)
        for table in metadata.tables.values()
        for row in database.read(lambda db, table=table: db.execute(sa.select(table)).all())  # type: ignore[misc]  # bound in each round
    )
