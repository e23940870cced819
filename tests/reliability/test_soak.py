"""Many messages, each delivered several times, to two workers; without kills and with kill -9 at random moments."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from playground.stage import Stage
from tests.fakes.dify import FakeDify, Script
from tests.reliability.stages import DATABASES, SOAK, agree, settle, stage_on, tell
from tests.reliability.waiting import reasons

pytestmark = pytest.mark.thorough

MESSAGES = 1000 if SOAK else 60
KILLS = 110 if SOAK else 6
USERS = MESSAGES // 5


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(database: str, tmp_path: Path) -> Iterator[tuple[Stage, FakeDify]]:
    with stage_on(
        database,
        tmp_path,
        {
            "channel_workers": "2",
            "channel_sweep_after_s": "5",
            "channel_wait_s": "1.0",
            "channel_user_queue_limit": "1000",
            "channel_queue_limit": "5000",
        },
        {"deliveries": 4, "gap_s": 1.0},
    ) as opened:
        yield opened


@pytest.mark.timeout(900)
def test_messages_that_are_delivered_several_times_run_the_app_once_each(
    opened: tuple[Stage, FakeDify], database: str
) -> None:
    stage, dify = opened
    chance = _chance()
    dify.default = Script(seconds=0.05)
    sent = _send_all(stage, chance, pause_s=0.02)
    settle(stage, MESSAGES, 300)
    tell(f"{database}: {MESSAGES} messages, {_deliveries(stage)} deliveries, {len(dify.runs)} runs")
    assert len(dify.runs) == MESSAGES
    _shown_once(stage, sent)
    tell(agree(stage))


@pytest.mark.timeout(2400)
def test_kills_at_random_moments_lose_nothing_and_show_nothing_twice(
    opened: tuple[Stage, FakeDify], database: str
) -> None:
    stage, dify = opened
    chance = _chance()
    dify.default = Script(seconds=1.0)
    sent, killed = _send_and_kill(stage, chance)
    stage.wait_ready()
    settle(stage, MESSAGES, 300)
    _shown_once(stage, sent)
    lives = [stage.timeline(msg_id) for msg_id in sent]
    named = sum(len(reasons(life)) for life in lives)
    lost = sum(event["name"] == "worker.lost" for life in lives for event in life["events"])
    extra = len(dify.runs) - MESSAGES
    swallowed = stage.counts()["dropped_duplicate"]
    tell(
        f"{database}: {MESSAGES} messages, kills {dict(killed)}, they hit {lost} messages in work,"
        f" {extra} extra runs, {named} named, {swallowed} repeats swallowed by the platform"
    )
    assert killed.total() >= KILLS
    assert extra <= lost
    assert named >= extra
    tell(agree(stage))


def _chance() -> random.Random:
    seed = int(os.environ.get("TEST_SEED", time.time()))
    tell(f"TEST_SEED={seed}")
    return random.Random(seed)


def _send_all(stage: Stage, chance: random.Random, *, pause_s: float) -> dict[str, tuple[str, str]]:
    """User and question by the platform's id."""
    sent: dict[str, tuple[str, str]] = {}
    for number in range(MESSAGES):
        sent |= _send(stage, chance, number)
        time.sleep(chance.uniform(0, 2 * pause_s))
    return sent


def _send(stage: Stage, chance: random.Random, number: int) -> dict[str, tuple[str, str]]:
    """One message, delivered 1 to 4 times at once."""
    user, question = f"soak{chance.randrange(USERS):03d}", f"问题 {number}"
    return {stage.send(user, question, copies=chance.randint(1, 4)): (user, question)}


def _send_and_kill(
    stage: Stage, chance: random.Random
) -> tuple[dict[str, tuple[str, str]], Counter[str]]:
    """In each round some messages, and kill -9 at a random moment among them; what was killed must come back first.

    The supervisor lets what dies again and again wait: without a pause most of the time nothing would be there to kill.
    """
    sent: dict[str, tuple[str, str]] = {}
    killed: Counter[str] = Counter()
    for number in range(KILLS):
        last = (number + 1) * MESSAGES // KILLS
        moment = chance.randrange(len(sent), last)
        while len(sent) < last:
            sent |= _send(stage, chance, len(sent))
            time.sleep(chance.uniform(0, 0.15))
            if len(sent) == moment + 1:
                killed[_kill(stage, chance)] += 1
        stage.wait_ready()
    return sent, killed


def _kill(stage: Stage, chance: random.Random) -> str:
    """kill -9 one of the workers or the web; which."""
    while True:
        process = chance.choice(("worker", "worker", "worker", "web"))
        if running := stage.pids(process):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(running), signal.SIGKILL)
                return process


def _shown_once(stage: Stage, sent: dict[str, tuple[str, str]]) -> None:
    users = {user for user, _ in sent.values()}
    shown = Counter(
        (user, entry["text"])
        for user in users
        for entry in stage.seen(user)
        if entry["source"] != "user"
    )
    expected = Counter((user, f"答：{question}") for user, question in sent.values())
    assert shown - expected == Counter(), "shown too often"
    assert expected - shown == Counter(), "never shown"


def _deliveries(stage: Stage) -> int:
    return len(stage.http.get(f"{stage.platform_url}/playground/deliveries").json()["deliveries"])
