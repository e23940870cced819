"""A nonce belongs to the content that came with it first; what is old goes, and a refusal leaves nothing behind."""

import time
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from tests.channel.conftest import ledger_of
from tool_server.channel import nonces
from tool_server.channel.nonces import Nonces, Seen
from tool_server.channel.schema import messages
from tool_server.channel.schema import nonces as table
from tool_server.channel.surface import Callback, Incoming, Refused
from tool_server.database import Database

INCOMING = Incoming(
    dedupe_key="wwcorp/1/1", platform_id="1", user="li", kind="text", text="Hallo", sent_at=1
)
CALLBACK = Callback({"timestamp": "1700000000", "nonce": "n1"})


def seen_of(incoming: Incoming = INCOMING, nonce: str = "n1", at: int = 1700000000) -> Seen:
    callback = Callback({"timestamp": str(at), "nonce": nonce})
    found = nonces.seen("acc", callback, incoming, window_s=300)
    assert found is not None
    return found


def count(database: Database) -> int:
    counted = sa.select(sa.func.count()).select_from(table)
    return database.read(lambda db: db.scalar(counted) or 0)


def test_the_same_content_again_is_a_new_delivery(database: Database) -> None:
    kept = Nonces(lambda: 1700000000.0)
    for _ in range(3):
        database.write(lambda db: kept.keep(db, seen_of()))
    assert count(database) == 1


def test_another_content_under_the_same_nonce_and_time_is_refused(database: Database) -> None:
    kept = Nonces(lambda: 1700000000.0)
    database.write(lambda db: kept.keep(db, seen_of()))
    for other in (replace(INCOMING, text="Ciao"), replace(INCOMING, user="wang")):
        with pytest.raises(Refused):
            database.write(partial(kept.keep, seen=seen_of(other)))


def test_another_time_or_account_has_nonces_of_its_own(database: Database) -> None:
    kept = Nonces(lambda: 1700000000.0)
    other = replace(INCOMING, text="Ciao")
    database.write(lambda db: kept.keep(db, seen_of()))
    database.write(lambda db: kept.keep(db, seen_of(other, at=1700000001)))
    elsewhere = nonces.seen("other", CALLBACK, other, window_s=300)
    assert elsewhere is not None
    database.write(lambda db: kept.keep(db, elsewhere))
    assert count(database) == 3


def test_without_a_window_nothing_is_kept() -> None:
    assert nonces.seen("acc", CALLBACK, INCOMING, window_s=0) is None


def test_a_refused_nonce_leaves_no_message(database: Database) -> None:
    ledger = ledger_of(database)
    ledger.claim("acc", INCOMING, wait_until=0.0, seen=seen_of())
    other = replace(INCOMING, dedupe_key="wwcorp/1/2", platform_id="2")
    with pytest.raises(Refused):
        ledger.claim("acc", other, wait_until=0.0, seen=seen_of(other))
    stored = database.read(lambda db: db.scalars(sa.select(messages.c.platform_id)).all())
    assert list(stored) == ["1"]


def test_what_the_window_refuses_by_its_time_is_forgotten(database: Database) -> None:
    clock = [1700000000.0]
    kept = Nonces(lambda: clock[0])
    for number in range(5):
        database.write(partial(kept.keep, seen=seen_of(nonce=f"n{number}")))
    clock[0] += 302
    database.write(lambda db: kept.keep(db, seen_of(nonce="new", at=1700000302)))
    assert count(database) == 1


@pytest.mark.quiet
def test_binding_a_nonce_costs_less_than_the_claim_that_it_belongs_to(database: Database) -> None:
    ledger = ledger_of(database, queue=10_000)
    kept, rounds = Nonces(), 300
    now = int(time.time())
    seen = [seen_of(nonce=f"n{number}", at=now) for number in range(rounds)]

    def keep_all(db: sa.Connection) -> float:
        started = time.thread_time()
        for one in seen:
            kept.keep(db, one)
        return (time.thread_time() - started) / rounds

    def claim_all(db: sa.Connection) -> float:
        started = time.thread_time()
        for number in range(rounds):
            name = str(number)
            incoming = replace(INCOMING, dedupe_key=name, platform_id=name, user=name)
            ledger.claim_within(db, "acc", incoming)
        return (time.thread_time() - started) / rounds

    nonce_s, claim_s = database.write(keep_all), database.write(claim_all)
    print(f"nonce {nonce_s * 1e6:.0f} us, claim {claim_s * 1e6:.0f} us")  # noqa: T201
    assert nonce_s < claim_s
