"""Whom a ticket stands for: departments within the app's visibility, kept for a while, forgotten when they change."""

import json
import time
from collections.abc import Iterator
from threading import Thread

import pytest
import sqlalchemy as sa

from playground.wechat.faults import Fault
from playground.wechat.platform import Platform
from tests.channel.conftest import AES_KEY, make_account
from tests.channel.wecom import calls, serve_platform
from tool_server.access import Asker
from tool_server.channel import tickets
from tool_server.channel.account import Account, parse_account
from tool_server.channel.accounts import Accounts
from tool_server.channel.contacts import with_ancestors
from tool_server.channel.ledger import Ledger
from tool_server.channel.people import Ages, People
from tool_server.channel.queue_limits import QueueLimits
from tool_server.channel.surface import Incoming
from tool_server.channel.vault import Vault
from tool_server.channel.wecom_api import WeComApi
from tool_server.database import Database
from tool_server.settings import Settings

# The corp (1) has sales (2) with its branch in the south (21), and finance (3).
ORG = {
    "departments": {1: 0, 2: 1, 21: 2, 3: 1, 9: 1},
    "people": {"li": [21], "wang": [3], "chen": [2, 3], "boss": [9]},
    "visible_departments": [2, 3],
}
ACCOUNT = make_account()
BOT = {
    "surface": "wecom_bot",
    "token": "thetoken",
    "encoding_aes_key": AES_KEY,
    "dify_url": "http://127.0.0.1:9/v1",
    "dify_key": "app-test",
}


@pytest.fixture
def platform_at() -> Iterator[tuple[Platform, str]]:
    with serve_platform(org=ORG, visible=[]) as found:
        yield found


@pytest.fixture
def platform(platform_at: tuple[Platform, str]) -> Platform:
    return platform_at[0]


class Clock:
    """Real time, and what a test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(database: Database, settings: Settings) -> Accounts:
    accounts = Accounts(database, Vault.open(settings.data_dir))
    accounts.save("acc", ACCOUNT)
    return accounts


@pytest.fixture
def people(
    platform_at: tuple[Platform, str], database: Database, accounts: Accounts, clock: Clock
) -> Iterator[People]:
    api = WeComApi(platform_at[1], timeout_s=3)
    yield People(database, accounts, Ages(600, 60, 3600), api, clock=clock)
    api.close()


def change(people: People, **fields: str) -> None:
    event = Incoming(
        "k", "1", "sys", "event", "", 1, event="change_contact", data=json.dumps(fields)
    )
    people.changed("acc", ACCOUNT, event)


def departments(people: People, user: str, account: Account = ACCOUNT) -> tuple[int, ...]:
    return people.departments("acc", account, user)


def test_a_person_has_their_departments_and_all_above_them(people: People) -> None:
    assert departments(people, "li") == (1, 2, 21)
    assert departments(people, "chen") == (1, 2, 3)


@pytest.mark.parametrize("user", ["boss", "nobody", "x" * 128])
def test_whom_the_app_does_not_see_has_none(people: People, user: str) -> None:
    assert departments(people, user) == ()


def test_a_person_is_asked_for_once_in_a_while(
    people: People, platform: Platform, clock: Clock
) -> None:
    for _ in range(3):
        departments(people, "li")
    assert calls(platform, "user/get") == [0]
    clock.ahead += 601
    departments(people, "li")
    assert calls(platform, "user/get") == [0, 0]


def test_a_person_who_is_not_seen_is_asked_for_sooner(
    people: People, platform: Platform, clock: Clock
) -> None:
    departments(people, "boss")
    departments(people, "boss")
    assert calls(platform, "user/get") == [60011]
    clock.ahead += 61
    departments(people, "boss")
    assert calls(platform, "user/get") == [60011, 60011]


def test_a_change_of_a_person_forgets_that_person_at_once(
    people: People, platform: Platform
) -> None:
    departments(people, "li")
    departments(people, "wang")
    platform.org.move("li", (3,))
    change(people, ChangeType="update_user", UserID="li")
    assert departments(people, "li") == (1, 3)
    departments(people, "wang")
    assert len(calls(platform, "user/get")) == 3


def test_a_change_of_a_department_forgets_everybody(people: People, platform: Platform) -> None:
    departments(people, "li")
    departments(people, "wang")
    platform.org.hang(21, 3)
    change(people, ChangeType="update_party", Id="21")
    assert departments(people, "li") == (1, 3, 21)
    departments(people, "wang")
    assert len(calls(platform, "user/get")) == 4


def test_a_change_while_somebody_is_asked_for_is_not_missed(
    people: People, platform: Platform
) -> None:
    platform.api.script(Fault("department/simplelist", "slow_after", 1, seconds=0.5))

    def overtake() -> None:
        while not calls(platform, "user/get"):
            time.sleep(0.01)
        platform.org.move("li", (3,))
        change(people, ChangeType="update_user", UserID="li")

    thread = Thread(target=overtake)
    thread.start()
    found = departments(people, "li")
    thread.join()
    assert found == (1, 3)
    assert departments(people, "li") == (1, 3)


def test_while_the_platform_is_away_old_departments_count_for_a_while_and_then_none(
    people: People, platform: Platform, clock: Clock
) -> None:
    departments(people, "li")
    platform.api.script(Fault("user/get", "http_500", 100))
    clock.ahead += 3000
    assert departments(people, "li") == (1, 2, 21)
    clock.ahead += 1000
    assert departments(people, "li") == ()


def test_whoever_was_never_found_has_none_while_the_platform_is_away(
    people: People, platform: Platform
) -> None:
    platform.api.script(Fault("user/get", "errcode", 100, code=45009))
    assert departments(people, "li") == ()


def test_a_platform_that_is_away_is_not_asked_for_each_person(
    people: People, platform: Platform, clock: Clock
) -> None:
    platform.api.script(Fault("user/get", "http_500", 1))
    for user in ("li", "wang", "chen"):
        assert departments(people, user) == ()
    assert len(calls(platform, "user/get")) == 1
    clock.ahead += 6
    assert departments(people, "li") == (1, 2, 21)


def test_an_app_without_the_departments_list_gives_people_their_own_only(
    people: People, platform: Platform
) -> None:
    platform.api.script(Fault("department/simplelist", "errcode", 1, code=48002))
    assert departments(people, "li") == (21,)


def test_a_bot_has_the_people_of_the_app_that_it_names(people: People, accounts: Accounts) -> None:
    bot = parse_account(BOT | {"people_account": "acc"})
    assert people.asker("bot", bot, "li") == Asker("acc", "li", (1, 2, 21))
    assert people.asker("bot", parse_account(BOT), "li") == Asker("bot", "li")


def test_in_a_group_only_the_groups_rights_count(people: People, platform: Platform) -> None:
    asker = people.asker("acc", ACCOUNT, "li", "chat7")
    assert asker == Asker("acc", "li", (), "group", "chat7")
    assert calls(platform, "user/get") == []


def test_a_ring_of_departments_ends() -> None:
    assert with_ancestors({2}, {2: 3, 3: 2}) == (2, 3)


def ticket_of(database: Database, user: str) -> str:
    ledger = Ledger(database, limits=QueueLimits(50, 50, 50, 60), ticket_ttl_s=600)
    claim = ledger.claim("acc", Incoming(user, user, user, "text", "q", 1), wait_until=0.0)

    def work(db: sa.Connection) -> str:
        expires_at = time.time() + 600
        ticket = tickets.issue(db, claim.message_id, Asker("acc", user), expires_at=expires_at)
        tickets.fill(db, ticket, Asker("acc", user, (1, 2)))
        return ticket

    return database.write(work)


def test_a_change_takes_the_departments_from_tickets_on_their_way(
    people: People, database: Database
) -> None:
    ours, others = ticket_of(database, "li"), ticket_of(database, "wang")
    change(people, ChangeType="update_user", UserID="li")
    assert tickets.resolve(database, ours, "app", "c") == Asker("acc", "li")
    assert tickets.resolve(database, others, "app", "c") == Asker("acc", "wang", (1, 2))


def test_a_digest_tells_other_rights_and_nothing_else() -> None:
    first = tickets.digest(Asker("acc", "li", (2, 1)))
    assert first == tickets.digest(Asker("acc", "li", (1, 2)))
    for other in (
        Asker("acc", "li", (1,)),
        Asker("acc", "wang", (1, 2)),
        Asker("acc", "li", (1, 2), "group", "c"),
    ):
        assert tickets.digest(other) != first
