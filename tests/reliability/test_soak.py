"""Many messages, each delivered several times, to two workers; without kills and with kill -9 at random moments.

The app asks the tool server's own model, so that a kill of the engine or of the web hits an answer, too.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from playground.stage import Stage
from tests.fakes.dify import FakeDify, Script
from tests.reliability.nodes import NODE, Kill, Second, hits, kill_one, second_node
from tests.reliability.stages import DATABASES, SOAK, agree, settle, stage_on, tell
from tests.waiting import until

pytestmark = pytest.mark.thorough

MESSAGES = 1000 if SOAK else 60
KILLS = 110 if SOAK else 6
USERS = MESSAGES // 5
# What is killed, and how often; an engine takes longest to come back.
KINDS = ("worker",) * 6 + ("web",) * 2 + ("engine",) * 2
SETTINGS = {
    "channel_workers": "2",
    "channel_sweep_after_s": "5",
    "channel_wait_s": "1.0",
    "channel_user_queue_limit": "1000",
    "channel_queue_limit": "5000",
    "channel_takeovers": "100",  # the kills are ours: no message is to be suspected of them
}
PLATFORM = {"deliveries": 4, "gap_s": 1.0}
# The platform must not give up while a web process comes back; on a busy machine that takes half a minute.
PATIENT = {"deliveries": 4, "gap_s": 8.0}
MODEL_S = 120.0


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(database: str, tmp_path: Path) -> Iterator[tuple[Stage, FakeDify]]:
    with stage_on(database, tmp_path, SETTINGS, PLATFORM) as opened:
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
@pytest.mark.parametrize("database", DATABASES)
def test_kills_at_random_moments_lose_nothing_and_show_nothing_twice(
    database: str, tmp_path: Path
) -> None:
    with stage_on(database, tmp_path, SETTINGS, PATIENT, model=True) as (stage, dify):
        _soak(stage, dify, None, database)


@pytest.mark.timeout(2400)
def test_kills_on_two_nodes_lose_nothing_and_show_nothing_twice(tmp_path: Path) -> None:
    settings = {**SETTINGS, "channel_workers": "1", "channel_lease_s": "15"}
    with (
        stage_on("postgresql", tmp_path, settings, PATIENT, model=True) as (stage, dify),
        second_node(stage, workers=1) as second,
    ):
        _soak(stage, dify, second, "two nodes")


def _soak(stage: Stage, dify: FakeDify, second: Second | None, name: str) -> None:
    """Messages under kills; each was shown once, and each run too many stands in the ledger and belongs to a kill."""
    chance = _chance()
    faults: list[str] = []
    dify.keeps_runs = True
    dify.default = Script(seconds=1.0, model=_model(stage, faults))
    sent, kills = _send_and_kill(stage, second, chance)
    stage.wait_ready()
    settle(stage, MESSAGES, 300)
    _shown_once(stage, sent)
    lives = {msg_id: stage.timeline(msg_id) for msg_id in sent}
    hit = {msg_id: hits(life, kills) for msg_id, life in lives.items()}
    runs = Counter(run.query for run in dify.runs)
    extra = {msg_id: runs[question] - 1 for msg_id, (_, question) in sent.items()}
    swallowed = stage.counts()["dropped_duplicate"]
    tell(
        f"{name}: {MESSAGES} messages, {len(kills)} kills {dict(Counter(k.process for k in kills))};"
        f" {len({kill for found in hit.values() for kill in found})} of them took"
        f" {sum(map(len, hit.values()))} unanswered messages from a worker, {len(faults)} calls of the"
        f" model failed; {sum(extra.values())} extra runs,"
        f" {sum(_names(life, 'answer.found') for life in lives.values())} answers found again,"
        f" {swallowed} repeats swallowed by the platform"
    )
    for msg_id in filter(extra.get, sent):
        tell(f"  asked again: {msg_id} after {', '.join(map(str, hit[msg_id]))}")
    assert len(kills) >= KILLS
    assert {m for m in sent if extra[m] > len(hit[m])} == set(), "a run that no kill explains"
    if SOAK:  # of few kills one may hit several runs that Dify has not named yet
        assert sum(extra.values()) <= len({kill for found in hit.values() for kill in found})
    assert {m for m in sent if extra[m] > _names(lives[m], "asked.again")} == set(), "not named"
    tell(agree(stage))


def _names(life: dict[str, Any], name: str) -> int:
    return sum(event["name"] == name for event in life["events"])


def _model(stage: Stage, faults: list[str]) -> Callable[[str], None]:
    """A node that asks the model until it answers, as a node with retries does."""
    headers = {"Authorization": f"Bearer {stage.key('model')}"}
    url = f"{stage.server_url}/v1/chat/completions"

    def answers(question: str) -> bool:
        messages = [{"role": "user", "content": question}]
        body = {"model": "private-deepseek", "messages": messages, "max_tokens": 4}
        with suppress(httpx.HTTPError):
            if httpx.post(url, json=body, headers=headers, timeout=20).is_success:
                return True
        faults.append(question)
        return False

    def ask(question: str) -> None:
        deadline = time.monotonic() + MODEL_S
        while time.monotonic() < deadline and not answers(question):
            time.sleep(0.5)

    return ask


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
    stage: Stage, second: Second | None, chance: random.Random
) -> tuple[dict[str, tuple[str, str]], list[Kill]]:
    """In each round some messages, and kill -9 at a random moment among them; what was killed must come back first.

    The supervisor lets what dies again and again wait: without a pause most of the time nothing would be there to kill.
    """
    sent: dict[str, tuple[str, str]] = {}
    kills: list[Kill] = []
    for number, process in enumerate(_kinds(chance, nodes=1 if second is None else 2)):
        last = (number + 1) * MESSAGES // KILLS
        moment = chance.randrange(len(sent), last)
        while len(sent) < last:
            sent |= _send(stage, chance, len(sent))
            time.sleep(chance.uniform(0, 0.15))
            if len(sent) == moment + 1:
                kills.append(_kill(stage, second, chance, process, number))
        stage.wait_ready()
    return sent, kills


def _kinds(chance: random.Random, *, nodes: int) -> list[str]:
    """What is killed in each round: each kind once, the others by their share."""
    kinds = [*KINDS, NODE] if nodes > 1 else [*KINDS]
    chosen = [*sorted(set(kinds)), *chance.choices(kinds, k=KILLS)][:KILLS]
    chance.shuffle(chosen)
    return chosen


def _kill(
    stage: Stage, second: Second | None, chance: random.Random, process: str, number: int
) -> Kill:
    """kill -9 one process of this kind on any node, or the second node as a whole."""
    if second is not None and process == NODE:
        return second.kill(number)
    logs = [stage.plan.folder / "tool-server.log", *([second.log] if second else [])]
    found: Kill = until(lambda: kill_one(logs, process, number, chance.choice))
    return found


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
