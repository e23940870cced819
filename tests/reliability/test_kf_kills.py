"""kill -9 while thousands of messages of customer service are fetched and answered: none twice, none lost."""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.dify import FakeDify, Script
from tests.reliability.kf import Customers, open_customers
from tests.waiting import wait_for

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
# Messages, customers, messages a page, kills. A customer has no more messages than are answered one by one.
MESSAGES, CUSTOMERS, PAGE, KILLS = (2500, 625, 1000, 12) if SOAK else (160, 40, 40, 3)


@pytest.mark.thorough
@pytest.mark.timeout(1500)
def test_a_queue_that_is_read_under_kills_is_answered_whole_and_once(
    dify: FakeDify, tmp_path: Path
) -> None:
    seed = int(os.environ.get("TEST_SEED", time.time()))
    print(f"seed {seed}")  # noqa: T201  (a failing run must be repeatable)
    chance = random.Random(seed)
    dify.default = Script(seconds=0.05)
    settings = {
        "SHENQIAO_CHANNEL_KF_PAGE": str(PAGE),
        "SHENQIAO_CHANNEL_KF_LOOK_S": "5",
        "SHENQIAO_CHANNEL_QUEUE_LIMIT": str(2 * MESSAGES),
        "SHENQIAO_CHANNEL_TAKEOVERS": "100",  # the kills are ours: no message is to be suspected of them
    }
    limits = {"empty_every": 4, "bare_per_minute": 10000}
    try:
        with open_customers(tmp_path, dify, limits=limits, settings=settings) as customers:
            started = time.monotonic()
            msgids = customers.queue(MESSAGES, CUSTOMERS)
            customers.tell()
            kills = kill_now_and_then(customers, len(msgids), chance, dify)
            wait_for(
                lambda: not missing(customers, msgids), 900, lambda: missing(customers, msgids)
            )
            seconds = time.monotonic() - started
            time.sleep(3)  # a second answer would have come by now
            shown = Counter(text for user in set(msgids.values()) for text in customers.read(user))
            calls = [c for c in platform_calls(customers) if c["path"].endswith("sync_msg")]
            swallowed = customers.stage.counts()["dropped_duplicate"]
            states = Counter(customers.state(msgid) for msgid in msgids)
    finally:
        dify.default = Script()
    extra = len(dify.runs) - MESSAGES
    print(  # noqa: T201
        f"{MESSAGES} messages, {kills} kills, {len(calls)} calls of sync_msg, {seconds:.0f} s,"
        f" {extra} extra runs, {swallowed} repeats swallowed by msgid"
    )
    assert set(shown.values()) == {1}
    assert len(shown) == MESSAGES
    assert states == {"done": MESSAGES}
    assert kills == KILLS
    assert extra <= kills * 8  # a killed worker has eight messages in hand


def kill_now_and_then(
    customers: Customers, messages: int, chance: random.Random, dify: FakeDify
) -> int:
    """Kill a process each time that a further part has been asked; how often."""
    for number in range(KILLS):
        part = messages * (number + 1) // (KILLS + 2)
        wait_for(lambda due=part: len(dify.runs) >= due, 300)  # type: ignore[misc]  # bound in each round
        customers.stage.kill(chance.choice(("worker", "worker", "web")))
        customers.stage.wait_ready()
    return KILLS


def missing(customers: Customers, msgids: dict[str, str]) -> int:
    """How many answers are not shown yet."""
    return len(msgids) - sum(len(customers.read(user)) for user in set(msgids.values()))


def platform_calls(customers: Customers) -> list[dict[str, str]]:
    answer = customers.stage.http.get(f"{customers.stage.platform_url}/playground/calls")
    return list(answer.json()["calls"])
