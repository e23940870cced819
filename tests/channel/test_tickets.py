"""Tickets: who asked, for a while, bound to where they are used first."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tool_server.access import Asker
from tool_server.channel import tickets
from tool_server.channel.ledger import Ledger
from tool_server.channel.queue_limits import QueueLimits
from tool_server.channel.surface import Incoming
from tool_server.database import Database

ASKER = Asker("acc", "zhang", (2, 3))


@pytest.fixture
def ticket(database: Database) -> str:
    ledger = Ledger(database, limits=QueueLimits(10, 10, 10, 60), ticket_ttl_s=600)
    incoming = Incoming("k", "1", "zhang", "text", "q", 1)
    claim = ledger.claim("acc", incoming, wait_until=0.0)
    return database.write(
        lambda db: tickets.issue(db, claim.message_id, ASKER, expires_at=time.time() + 600)
    )


def test_a_ticket_names_its_asker_again_and_again_where_it_was_used_first(
    database: Database, ticket: str
) -> None:
    for _ in range(2):
        assert tickets.resolve(database, ticket, "app", "conv") == ASKER


@pytest.mark.parametrize("elsewhere", [("other", "conv"), ("app", "other"), ("", "")])
def test_a_ticket_opens_nothing_elsewhere(
    database: Database, ticket: str, elsewhere: tuple[str, str]
) -> None:
    tickets.resolve(database, ticket, "app", "conv")
    assert tickets.resolve(database, ticket, *elsewhere) is None


def test_of_two_apps_at_once_one_has_the_ticket(database: Database, ticket: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda n: tickets.resolve(database, ticket, f"app{n % 2}", "conv"), range(8))
        )
    assert sum(asker is not None for asker in found) == 4


def test_an_unknown_or_old_ticket_opens_nothing(database: Database, ticket: str) -> None:
    assert tickets.resolve(database, "unknown", "app", "conv") is None
    database.write(lambda db: tickets.extend(db, [ticket], time.time() - 1))
    assert tickets.resolve(database, ticket, "app", "conv") is None
    database.write(lambda db: tickets.extend(db, [ticket], time.time() + 60))
    assert tickets.resolve(database, ticket, "app", "conv") == ASKER


def test_tickets_cannot_be_guessed(database: Database, ticket: str) -> None:
    assert len(ticket) >= 22  # 128 bits in base64
