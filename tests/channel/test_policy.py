"""Who may ask: every combination of lists, groups and numbers."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.channel.conftest import make_account
from tests.channel.wecom import serve_platform
from tool_server.channel.account import Account
from tool_server.channel.accounts import Accounts
from tool_server.channel.job import Job
from tool_server.channel.ledger import Ledger
from tool_server.channel.people import Ages, People
from tool_server.channel.policy import Policy
from tool_server.channel.surface import Incoming
from tool_server.channel.vault import Vault
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.settings import Settings
from tool_server.words import WORDS

ORG = {"departments": {1: 0, 2: 1, 21: 2}, "people": {"li": [21], "wang": [1]}}
DAY_S = 86400


@pytest.fixture
def make_policy(database: Database, settings: Settings) -> Iterator[Callable[[Account], Policy]]:
    with serve_platform(org=ORG) as (_, url):
        api = WeComApi(url, timeout_s=3)
        accounts = Accounts(database, Vault.open(settings.data_dir))

        def make(account: Account, clock: Callable[[], float] = time.time) -> Policy:
            accounts.save("acc", account)
            people = People(database, accounts, Ages(600, 60, 3600), api)
            return Policy(database, people, clock=clock)

        yield make
        api.close()


@pytest.fixture
def make_job(database: Database, settings: Settings) -> Callable[..., Job]:
    ledger = Ledger.open(database, settings)
    work = Work(database, "me", lease_s=30, ticket_ttl_s=600)
    numbers = iter(range(1000))

    def make(user: str, chat: str = "") -> Job:
        key = f"k{next(numbers)}"
        ledger.claim("acc", Incoming(key, key, user, "text", "q", 1, chat=chat), wait_until=0.0)
        job = work.lease()
        assert job is not None
        work.give_up(job, "only looked at")
        return job

    return make


def with_access(**access: Any) -> Account:
    return make_account(access=access)


@pytest.mark.parametrize(
    ("access", "user", "chat", "refusal"),
    [
        ({}, "li", "", None),
        ({}, "stranger", "", None),
        ({"users": ["li"]}, "li", "", None),
        ({"users": ["li"]}, "wang", "", "not_allowed"),
        ({"departments": [2]}, "li", "", None),
        ({"departments": [21]}, "li", "", None),
        ({"departments": [2]}, "wang", "", "not_allowed"),
        ({"departments": [2]}, "stranger", "", "not_allowed"),
        ({"departments": [2], "users": ["wang"]}, "wang", "", None),
        ({"users": ["li"], "admins": ["wang"]}, "wang", "", None),
        ({}, "li", "chat", None),
        ({"groups": "ignore"}, "li", "chat", "groups_off"),
        ({"groups": "ignore"}, "li", "", None),
        ({"groups": "ignore", "users": ["li"], "admins": ["li"]}, "li", "chat", "groups_off"),
        ({"users": ["li"]}, "wang", "chat", "not_allowed"),
    ],
)
def test_who_may_ask(
    make_policy: Callable[[Account], Policy],
    make_job: Callable[..., Job],
    access: dict[str, Any],
    user: str,
    chat: str,
    refusal: str | None,
) -> None:
    account = with_access(**access)
    assert make_policy(account).refusal(account, make_job(user, chat)) == refusal


def test_the_daily_number_is_of_each_person_and_begins_anew_each_day(
    make_policy: Callable[..., Policy], make_job: Callable[..., Job]
) -> None:
    account, now = with_access(daily_questions=2), [time.time()]
    policy = make_policy(account, lambda: now[0])
    found = [policy.refusal(account, make_job("li")) for _ in range(4)]
    assert found == [None, None, "quota", "quota"]
    assert policy.refusal(account, make_job("wang")) is None
    now[0] += DAY_S
    assert policy.refusal(account, make_job("li")) is None


def test_a_message_that_is_taken_up_again_counts_once(
    make_policy: Callable[..., Policy], make_job: Callable[..., Job]
) -> None:
    account = with_access(daily_questions=2)
    policy, job = make_policy(account), make_job("li")
    assert [policy.refusal(account, job) for _ in range(5)] == [None] * 5
    assert policy.refusal(account, make_job("li")) is None


def test_messages_at_once_are_counted_exactly(
    make_policy: Callable[..., Policy], make_job: Callable[..., Job]
) -> None:
    account = with_access(daily_questions=7)
    policy, jobs = make_policy(account), [make_job("li") for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda job: policy.refusal(account, job), jobs))
    assert (found.count(None), found.count("quota")) == (7, 13)


def test_administrators_have_no_daily_number(
    make_policy: Callable[..., Policy], make_job: Callable[..., Job]
) -> None:
    account = with_access(daily_questions=1, admins=["li"])
    policy = make_policy(account)
    assert [policy.refusal(account, make_job("li")) for _ in range(3)] == [None] * 3


def test_every_refusal_has_its_sentence() -> None:
    assert {"not_allowed", "quota", "groups_off"} <= WORDS.keys()
