"""One leader per account: who may lead, for how long, and when nobody may; on SQLite and PostgreSQL."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.channel.conftest import pass_time
from tool_server import owner
from tool_server.channel.leaders import Leaders, allow, standings
from tool_server.channel.members import Members
from tool_server.channel.schema import accounts, leaders, members
from tool_server.database import Database
from tool_server.owner import OwnerLock

Make = Callable[..., Leaders]
Name = Callable[[str], str]


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    return tmp_path / "locks"


@pytest.fixture
def make(database: Database, locks: Path) -> Iterator[Make]:
    """Makes one process's view of the table; it is alive until the test ends."""
    held: list[OwnerLock] = []

    def make(owner: str, *, lease_s: float = 30.0, alive: bool = True) -> Leaders:
        if alive:
            held.append(OwnerLock(locks, owner))
        return Leaders(database, owner, locks, lease_s=lease_s)

    yield make
    for lock in held:
        lock.close()


@pytest.fixture
def here(locks: Path) -> Name:
    """Names owners of this node."""
    node = owner.here(locks)
    return lambda name: f"{node}-{name}"


def test_the_second_process_does_not_lead(make: Make, here: Name) -> None:
    assert make(here("1")).take("robot") == 1
    assert make(here("2")).take("robot") is None


def test_of_many_who_try_at_once_one_leads(make: Make, here: Name) -> None:
    everybody = [make(here(str(number))) for number in range(12)]
    fences: list[int | None] = []
    threads = [
        threading.Thread(target=lambda one=one: fences.append(one.take("robot")))
        for one in everybody
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [fence for fence in fences if fence] == [1]


def test_a_dead_process_of_this_machine_is_followed_at_once(make: Make, here: Name) -> None:
    assert make(here("dead"), alive=False).take("robot") == 1
    assert make(here("2")).take("robot") == 2


def test_a_process_of_another_machine_is_followed_when_its_lease_has_ended(
    make: Make, here: Name, database: Database
) -> None:
    assert make("elsewhere-1", lease_s=600, alive=False).take("robot") == 1
    other = make(here("2"))
    pass_time(database, leaders.c.lease_until, 500)
    assert other.take("robot") is None
    pass_time(database, leaders.c.lease_until, 100)
    assert other.take("robot") == 2


def test_who_was_followed_keeps_nothing(make: Make, here: Name, database: Database) -> None:
    slow, fast = make(here("slow")), make(here("fast"))
    fence = slow.take("robot") or 0
    pass_time(database, leaders.c.lease_until, 30)
    assert fast.take("robot") == 2
    assert slow.renew({"robot": fence}) == set()
    assert not slow.hold("robot", fence, "kicked", "by our own replica", for_s=0)
    assert fast.renew({"robot": 2}) == {"robot"}


def test_after_a_kick_nobody_leads_until_it_is_allowed(
    make: Make, database: Database, here: Name
) -> None:
    one, two = make(here("1")), make(here("2"))
    assert one.hold("robot", one.take("robot") or 0, "kicked", "a stranger", for_s=0)
    assert one.take("robot") is None
    assert two.take("robot") is None
    (standing,) = standings(database, ["robot"])
    assert (standing.state, standing.reason, standing.led) == ("kicked", "a stranger", False)
    allow(database, "robot")
    assert two.take("robot") == 2


def test_a_pause_after_a_kick_ends_by_itself(make: Make, here: Name, database: Database) -> None:
    one = make(here("1"))
    assert one.hold("robot", one.take("robot") or 0, "kicked", "a stranger", for_s=600)
    pass_time(database, leaders.c.held_until, 500)
    assert one.take("robot") is None
    pass_time(database, leaders.c.held_until, 100)
    assert one.take("robot") == 2


def test_saving_the_account_again_ends_a_hold(make: Make, database: Database, here: Name) -> None:
    one = make(here("1"))
    save(database, time.time() - 60)
    assert one.hold("robot", one.take("robot") or 0, "kicked", "a stranger", for_s=0)
    assert one.take("robot") is None
    save(database, time.time() + 1)
    assert one.take("robot") == 2


def test_who_releases_is_followed_at_once(make: Make, database: Database, here: Name) -> None:
    one, two = make(here("1")), make(here("2"))
    one.release("robot", one.take("robot") or 0)
    assert two.take("robot") == 2
    owner = sa.select(leaders.c.owner)
    assert database.read(lambda db: db.scalar(owner)) == here("2")


def save(database: Database, at: float) -> None:
    """The account as if it were saved at this time."""

    def work(db: sa.Connection) -> None:
        db.execute(sa.delete(accounts))
        row = {"id": "robot", "surface": "wecom_bot_socket", "config": "", "version": 1}
        db.execute(sa.insert(accounts).values(**row, updated_at=at))

    database.write(work)


def test_each_worker_leads_its_share_and_more_once_others_are_gone(
    database: Database, locks: Path, here: Name
) -> None:
    names = [here(str(number)) for number in range(3)]
    held = [OwnerLock(locks, name) for name in names]
    workers = [Members(database, name, locks, lease_s=30) for name in names]
    for worker in workers:
        worker.stay()
    assert [worker.share(7) for worker in workers] == [3, 3, 3]
    workers[0].leave()
    assert workers[1].share(7) == 4
    held[2].close()  # as when its process was killed
    assert workers[1].share(7) == 7
    for lock in held[:2]:
        lock.close()


def test_a_worker_of_another_machine_counts_until_its_lease_ends(
    database: Database, locks: Path, here: Name
) -> None:
    lock = OwnerLock(locks, here("1"))
    mine = Members(database, here("1"), locks, lease_s=30)
    mine.stay()
    Members(database, "elsewhere-1-2", locks, lease_s=30).stay()
    assert mine.share(2) == 1
    others = sa.update(members).where(members.c.owner != here("1"))
    ended = {"lease_until": members.c.lease_until - 30}
    database.write(lambda db: db.execute(others.values(ended)))
    assert mine.share(2) == 2
    lock.close()
