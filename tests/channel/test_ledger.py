"""Claims, passive or push, leases and fences: the ledger's promises, on a real database file."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tests.channel.conftest import claim, incoming, job_of, ledger_of, pass_time, worker_of
from tool_server.channel.job import Job, LostLease
from tool_server.channel.ledger import Ledger
from tool_server.channel.schema import messages
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.errors import Unavailable


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return ledger_of(database)


@pytest.fixture
def work(database: Database) -> Work:
    return worker_of(database, "one")


def settle(work: Work, job: Job, *bodies: str, reply: bytes | None = b"reply") -> str:
    return work.settle(job, "answer", bodies=bodies or ("body",), reply=reply, dify="conv")


def test_twenty_copies_at_once_are_one_message(ledger: Ledger, database: Database) -> None:
    with ThreadPoolExecutor(20) as pool:
        claims = list(pool.map(lambda _: claim(ledger, 1, wait_s=60), range(20)))
    assert sum(c.new for c in claims) == 1
    assert sorted(c.connection for c in claims) == list(range(1, 21))
    count = sa.select(sa.func.count()).select_from(messages)
    assert database.read(lambda db: db.scalar(count)) == 1


def test_an_answer_in_time_is_passive_and_every_later_delivery_gets_the_same_bytes(
    ledger: Ledger, work: Work
) -> None:
    first = claim(ledger, 1, wait_s=60)
    assert settle(work, job_of(work)) == "passive"
    assert ledger.fetch(first) == b"reply"
    again = claim(ledger, 1, wait_s=60)
    assert not again.new
    assert ledger.fetch(again) == b"reply"
    assert work.lease() is None


def test_only_the_newest_connection_carries_the_reply(ledger: Ledger, work: Work) -> None:
    older, newer = claim(ledger, 1, wait_s=60), claim(ledger, 1, wait_s=60)
    settle(work, job_of(work))
    assert ledger.fetch(older) is None
    assert ledger.fetch(newer) == b"reply"


def test_an_answer_after_the_wait_is_pushed(ledger: Ledger, work: Work) -> None:
    waiting = claim(ledger, 1, wait_s=60)
    ledger.stop_waiting(waiting)
    job = job_of(work)
    assert settle(work, job) == "push"
    assert ledger.fetch(waiting) is None
    assert [piece.body for piece in work.pieces(job)] == ["body"]


def test_an_older_connection_cannot_end_the_wait_of_a_newer_one(ledger: Ledger, work: Work) -> None:
    older = claim(ledger, 1, wait_s=60)
    claim(ledger, 1, wait_s=60)
    ledger.stop_waiting(older)
    assert settle(work, job_of(work)) == "passive"


def test_an_answer_in_several_pieces_is_pushed_whole(ledger: Ledger, work: Work) -> None:
    claim(ledger, 1, wait_s=60)
    job = job_of(work)
    assert settle(work, job, "a", "b", reply=None) == "push"
    first, second = work.pieces(job)
    work.sent(job, first, "m1", last=False)
    assert [piece.ordinal for piece in work.pieces(job)] == [2]
    work.sent(job, second, "m2", last=True)
    timeline = ledger.timeline("acc", "1")
    assert timeline is not None
    assert timeline["message"]["state"] == "done"


def test_one_conversation_is_answered_in_order_and_others_beside_it(
    ledger: Ledger, work: Work
) -> None:
    claim(ledger, 1)
    claim(ledger, 2)
    claim(ledger, 3, user="li")
    first = job_of(work)
    beside = job_of(work)
    assert (first.question, beside.question) == ("问题 1", "问题 3")
    assert work.lease() is None
    settle(work, first)
    assert work.lease() is None, "its piece is not sent yet"
    work.sent(first, work.pieces(first)[0], "m", last=True)
    assert job_of(work).question == "问题 2"


def test_several_are_leased_at_once_in_their_order_and_one_of_each_conversation(
    ledger: Ledger, work: Work, database: Database
) -> None:
    for number, user in enumerate(("zhang", "zhang", "li", "wang", "zhao"), start=1):
        claim(ledger, number, user=user)
    jobs = work.lease_some(3)
    assert [job.user for job in jobs] == ["zhang", "li", "wang"]
    assert jobs[0].question == "问题 1"
    for job in jobs:
        work.check(job)
    assert [job.user for job in worker_of(database, "two").lease_some(3)] == ["zhao"]
    assert work.lease_some(3) == []


def test_a_dead_workers_message_is_taken_over_and_its_writes_are_refused(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    old = job_of(work)
    other = worker_of(database, "two")
    assert other.lease() is None
    assert other.owners() == ["one"]
    assert other.take_from("one") == 1
    new = job_of(other)
    assert new.fence == old.fence + 1
    with pytest.raises(LostLease):
        settle(work, old)
    with pytest.raises(LostLease):
        work.check(old)
    other.check(new)


def test_a_lease_that_is_not_renewed_ends_by_itself(ledger: Ledger, database: Database) -> None:
    silent, other = worker_of(database, "one", lease_s=600), worker_of(database, "two")
    claim(ledger, 1)
    job_of(silent)
    pass_time(database, messages.c.lease_until, 500)
    assert other.lease() is None
    pass_time(database, messages.c.lease_until, 100)
    assert job_of(other).fence == 2


def test_a_message_that_gets_on_is_counted_from_the_start_again(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    other = worker_of(database, "two")
    for owner, dead in ((work, "one"), (other, "two"), (work, "one")):
        job = job_of(owner)
        assert owner.take_from(dead) == 1
    assert job.takeovers == 2
    last = job_of(other)
    assert last.takeovers == 3
    settle(other, last)
    other.take_from("two")
    assert job_of(work).takeovers == 1


def make_suspects(ledger: Ledger, work: Work) -> None:
    """Three messages of which two workers died, and a fourth one."""
    for number, user in enumerate(("zhang", "li", "wang"), start=1):
        claim(ledger, number, user=user)
    for _ in range(2):
        while work.lease():
            pass
        assert work.take_from("one") == 3
    claim(ledger, 4, user="tom")


def test_of_messages_that_are_leased_together_one_may_be_one_that_workers_died_of(
    ledger: Ledger, work: Work
) -> None:
    make_suspects(ledger, work)
    assert [job.question for job in work.lease_some(10)] == ["问题 1", "问题 4"]


def test_of_messages_that_workers_may_have_died_of_a_worker_has_one_at_a_time(
    ledger: Ledger, work: Work
) -> None:
    make_suspects(ledger, work)
    suspect = job_of(work)
    assert suspect.takeovers == 2
    beside = work.lease(suspects=False)
    assert beside is not None
    assert beside.question == "问题 4"
    assert not work.waiting(suspects=False)
    assert work.waiting()


def test_a_full_queue_takes_nothing_and_loses_nothing(database: Database) -> None:
    ledger = ledger_of(database, queue=2, busy=0)
    claim(ledger, 1)
    claim(ledger, 2)
    with pytest.raises(Unavailable):
        claim(ledger, 3)
    assert not claim(ledger, 2).new
    assert ledger.timeline("acc", "3") is None


def test_an_event_is_noted_and_needs_no_answer(ledger: Ledger, work: Work) -> None:
    noted = ledger.claim("acc", incoming(1, kind="event"), wait_until=time.time() + 4)
    assert noted.mode == "push"
    assert work.lease() is None


def test_a_reply_that_no_connection_fetched_is_pushed_once(ledger: Ledger, work: Work) -> None:
    lost = claim(ledger, 1, wait_s=10)
    assert settle(work, job_of(work)) == "passive"
    later = time.time() + 30
    (found,) = work.unfetched(later)
    assert (found.account, found.address.user, found.answer) == ("acc", "zhang", "answer")
    assert work.push_instead(found.id, ["body"])
    assert not work.push_instead(found.id, ["body"])
    assert ledger.fetch(lost) is None
    assert [piece.body for piece in work.pieces(job_of(work))] == ["body"]


def test_a_message_that_is_put_off_comes_back_after_its_pause(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    work.later(job_of(work), "dify is away", in_s=600)
    pass_time(database, messages.c.next_at, 500)
    assert not work.waiting()
    pass_time(database, messages.c.next_at, 100)
    assert work.waiting()
    assert job_of(work).attempts == 1


def test_what_was_given_up_stays_with_its_reason(ledger: Ledger, work: Work) -> None:
    claim(ledger, 1)
    job = job_of(work)
    settle(work, job)
    work.give_up(job, "81013 no such user")
    timeline = ledger.timeline("acc", "1")
    assert timeline is not None
    assert timeline["message"]["state"] == "failed"
    assert timeline["pieces"][0]["error"] == "81013 no such user"
    assert work.lease() is None
