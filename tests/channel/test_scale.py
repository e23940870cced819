"""Leasing and claiming stay cheap with many queued messages and very many old ones; figures with -s."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.channel.conftest import claim, ledger_of, worker_of
from tool_server.channel.leasing import free_message
from tool_server.channel.ledger import digest
from tool_server.channel.queue_limits import COUNTS
from tool_server.channel.schema import messages
from tool_server.database import Database

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
OLD, QUEUED = (1_000_000, 10_000) if SOAK else (20_000, 2_000)
PEOPLE = 500


@pytest.fixture
def full(database: Database) -> Database:
    """A ledger with old messages that are done, and a queue."""

    def row(number: int, state: str) -> dict[str, Any]:
        user = f"u{number % PEOPLE}"
        return {
            "dedupe_key": digest(f"{state}/{number}"),
            "account": "acc",
            "platform_id": f"{state}{number}",
            "conversation": f"acc//{user}",
            "user": user,
            "kind": "text",
            "question": "Frage",
            "received_at": 1_700_000_000.0 + number,
            "turn": 1_700_000_000.0 + number,
            "state": state,
            "mode": "push",
            "connections": 1,
            "wait_until": 0.0,
        }

    for state, count in (("done", OLD), ("received", QUEUED)):
        for start in range(0, count, 5000):
            rows = [row(number, state) for number in range(start, min(count, start + 5000))]
            database.write(lambda db, rows=rows: db.execute(sa.insert(messages), rows))  # type: ignore[misc]  # bound in each round
    database.write(lambda db: db.execute(sa.text("ANALYZE")))
    return database


def milliseconds(work: Callable[[], object], times: int = 30) -> float:
    """The median of some calls."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


def plan(database: Database, statement: sa.Select[Any]) -> str:
    text = statement.compile(database.engine, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN (ANALYZE) " if database.postgresql else "EXPLAIN QUERY PLAN "
    rows = database.read(lambda db: db.exec_driver_sql(f"{explain}{text}".replace("%", "%%")).all())
    return "\n".join(str(row) for row in rows)


@pytest.mark.timeout(900)
def test_a_lease_and_a_claim_look_only_at_what_is_to_be_done(full: Database) -> None:
    lease = plan(full, free_message(time.time(), (), False))
    assert "messages_queue" in lease
    assert "messages_conversation" in lease
    for found in (lease, plan(full, COUNTS.params(name="acc//u1", key="x"))):
        assert "SCAN messages" not in found
        assert "Seq Scan" not in found


@pytest.mark.timeout(900)
def test_leases_and_claims_are_quick_in_a_full_ledger(full: Database) -> None:
    work = worker_of(full, "one")
    ledger = ledger_of(full, queue=10**9, person=10**9)
    numbers = iter(range(10**6))
    waiting = milliseconds(work.waiting)
    leasing = milliseconds(work.lease)
    claiming = milliseconds(lambda: claim(ledger, next(numbers), user="fresh"))
    busiest = milliseconds(lambda: claim(ledger, next(numbers), user="u1"))
    load = os.getloadavg()[0]
    print(  # noqa: T201  (a figure)
        f"\n  {OLD} old, {QUEUED} queued: look {waiting:.2f} ms, lease {leasing:.2f} ms,"
        f" claim {claiming:.2f} ms, of a person who waits {busiest:.2f} ms (load average {load:.1f})"
    )
    assert waiting < 250
    assert leasing < 250
    assert claiming < 250


@pytest.mark.timeout(900)
def test_a_look_for_work_is_quick_when_all_that_may_be_worked_on_is_taken(full: Database) -> None:
    """Every conversation has one in work: the whole queue is looked at in vain."""
    first = sa.select(sa.func.min(messages.c.id)).where(messages.c.waits_for == "worker")
    heads = first.group_by(messages.c.conversation)
    held = {"owner": "other", "lease_until": time.time() + 600}
    full.write(
        lambda db: db.execute(sa.update(messages).where(messages.c.id.in_(heads)).values(**held))
    )
    work = worker_of(full, "one")
    assert not work.waiting()
    took = milliseconds(work.waiting, 10)
    print(f"\n  {QUEUED} queued, none free: look {took:.1f} ms")  # noqa: T201  (a figure)
    assert took < 1000
