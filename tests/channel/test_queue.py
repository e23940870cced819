"""Turns and places: nobody's many messages keep others waiting, and nobody waits without being told."""

import time

import pytest
import sqlalchemy as sa

from tests.channel.conftest import claim, incoming, job_of, ledger_of, worker_of
from tool_server.channel.ledger import Ledger
from tool_server.channel.schema import messages
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.errors import Unavailable


@pytest.fixture
def work(database: Database) -> Work:
    return worker_of(database, "one")


def finish(work: Work, job_id: int, database: Database) -> None:
    database.write(
        lambda db: db.execute(
            sa.update(messages).where(messages.c.id == job_id).values(state="done", owner="")
        )
    )


def busy_of(database: Database, platform_id: str) -> tuple[int, str]:
    found = sa.select(messages.c.busy, messages.c.state).where(
        messages.c.platform_id == platform_id
    )
    row = database.read(lambda db: db.execute(found).one())
    return row.busy, row.state


def test_a_person_with_many_messages_does_not_keep_the_others_waiting(
    database: Database, work: Work
) -> None:
    ledger = ledger_of(database)

    def claim_all(db: sa.Connection) -> None:
        for number, user in enumerate(["busy"] * 20 + ["li", "wang"]):
            ledger.claim_within(db, "acc", incoming(number, user), wait_until=0)

    database.write(claim_all)  # in one transaction: they come within the second between two turns
    served = []
    for _ in range(4):
        job = job_of(work)
        served.append(job.user)
        finish(work, job.id, database)
    assert served == ["busy", "li", "wang", "busy"]


def test_others_who_keep_coming_do_not_starve_a_person_with_two_messages(
    database: Database, work: Work
) -> None:
    ledger = ledger_of(database)
    claim(ledger, 1, user="two")
    claim(ledger, 2, user="two")
    database.write(
        lambda db: db.execute(sa.update(messages).values(turn=messages.c.turn - 100))
    )  # they came long ago
    for number in range(3, 9):
        claim(ledger, number, user=f"new{number}")
    first = job_of(work)
    finish(work, first.id, database)
    assert (first.user, job_of(work).user) == ("two", "two")


def test_beyond_a_persons_limit_the_place_is_told_and_once_a_minute_only(
    database: Database, work: Work
) -> None:
    ledger = ledger_of(database, person=2)
    for number in range(1, 5):
        claim(ledger, number)
    claim(ledger, 9, user="li")
    assert busy_of(database, "3") == (3, "received")
    assert busy_of(database, "4") == (3, "done")
    assert busy_of(database, "9") == (0, "received")
    told = job_of(work)
    assert (told.question, told.busy) == ("问题 3", 3), "before all others, whatever is in work"


def test_a_full_queue_tells_each_person_and_then_asks_to_come_again(database: Database) -> None:
    ledger = ledger_of(database, queue=2, busy=2)
    for number, user in enumerate(("a", "b", "c", "d"), start=1):
        claim(ledger, number, user=user)
    assert [busy_of(database, str(number))[0] for number in (1, 2, 3, 4)] == [0, 0, 3, 3]
    with pytest.raises(Unavailable):
        claim(ledger, 5, user="e")
    assert not claim(ledger, 3, user="c").new


def test_a_person_is_told_again_after_the_pause(database: Database) -> None:
    ledger = ledger_of(database, person=1, pause_s=0.05)
    claim(ledger, 1)
    claim(ledger, 2)
    time.sleep(0.1)
    claim(ledger, 3)
    assert [busy_of(database, name)[1] for name in ("2", "3")] == ["received", "received"]


def test_a_stop_is_taken_by_a_full_queue_and_passes_it(database: Database, work: Work) -> None:
    ledger: Ledger = ledger_of(database, queue=2)
    claim(ledger, 1)
    claim(ledger, 2)
    claim(ledger, 3, text="/stop")
    assert busy_of(database, "3") == (0, "received")
    assert job_of(work).question == "/stop"
    assert job_of(work).question == "问题 1"


def test_messages_for_a_quick_slot_are_the_urgent_and_the_busy_ones(
    database: Database, work: Work
) -> None:
    ledger = ledger_of(database, person=1)
    claim(ledger, 1)
    assert not work.waiting(quick=True)
    claim(ledger, 2)
    assert work.waiting(quick=True)
    job = work.lease(quick=True)
    assert job is not None
    assert job.busy == 2
