"""Streams of the AI bot by webhook: they only grow, they end once and whole, whatever gets lost and whoever dies."""

import hashlib
import os
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from playground.stage import BOT, Plan, Stage, open_stage
from playground.wechat.bot.bot import PICTURE
from tests.fakes.dify import KEY, FakeDify, Script
from tests.reliability.waiting import reasons
from tests.waiting import until, wait_for

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
SEED = int(os.environ.get("TEST_SEED", time.time()))
QUICK = {"refresh_s": 0.15, "gap_s": 1.0, "in_interaction": 3}
ROUGH = dict.fromkeys(("lost", "answer_lost", "doubled", "swapped"), 0.25) | {"after_finish": 0.5}
# The kills are ours: no message is to be suspected of them.
OURS = {"SHENQIAO_CHANNEL_TAKEOVERS": "100"}
# In a sentence no beginning of which ends like another, so that a stream that mixes two is seen.
TEXT = "".join(f"第{number}句说的是年假。" for number in range(60))


@pytest.fixture(scope="module")
def dify() -> Iterator[FakeDify]:
    with FakeDify() as dify:
        yield dify


@pytest.fixture(scope="module")
def stage(dify: FakeDify, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(plan(dify, tmp_path_factory, QUICK)) as stage:
        yield stage


@pytest.fixture(scope="module")
def short(dify: FakeDify, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where the platform asks for a stream for 4 seconds instead of 360."""
    times = {
        "SHENQIAO_CHANNEL_STREAM_S": "2.5",
        "SHENQIAO_CHANNEL_STREAM_SILENCE_S": "2",
        "SHENQIAO_CHANNEL_SWEEP_AFTER_S": "5",
    }
    with open_stage(plan(dify, tmp_path_factory, {**QUICK, "stream_s": 4.0}, times)) as stage:
        yield stage


def plan(
    dify: FakeDify,
    folders: pytest.TempPathFactory,
    limits: dict[str, Any],
    settings: dict[str, str] | None = None,
) -> Plan:
    return Plan(
        folders.mktemp("stage"),
        model=False,
        knowledge=False,
        dify_url=dify.url,
        dify_key=KEY,
        settings={**OURS, **(settings or {})},
        bot={"limits": limits},
    )


@pytest.fixture(autouse=True)
def _clean(dify: FakeDify, request: pytest.FixtureRequest) -> None:
    dify.scripts.clear()
    dify.runs.clear()
    dify.default = Script()
    for name in {"stage", "short"} & set(request.fixturenames):
        found: Stage = request.getfixturevalue(name)
        found.wait_ready()
        found.bot("PUT", "chances", json={})


PEOPLE = (f"张{number:05d}" for number in range(100_000))


def finished(stage: Stage, user: str) -> dict[str, Any]:
    """The one bubble of a person, once it is finished."""
    return dict(until(lambda: _finished(stage, user), why=lambda: stage.seen(user)))


def _finished(stage: Stage, user: str) -> dict[str, Any] | None:
    seen = stage.seen(user)
    assert len(seen) <= 1, seen
    return seen[0] if seen and seen[0]["finish"] else None


def assert_grew(stage: Stage, before: dict[str, Any]) -> None:
    """Nothing was counted against us since then."""
    counts = stage.counts()
    for name in ("stream_shrunk", "stream_refused", "stream_second", "refresh_invalid"):
        assert counts.get(name, 0) == before.get(name, 0), (name, SEED)


def life(stage: Stage, msg_id: str) -> dict[str, Any]:
    return stage.timeline(msg_id, BOT)


@pytest.mark.quiet
def test_the_first_text_is_seen_soon_after_the_models_first(
    dify: FakeDify, tmp_path_factory: pytest.TempPathFactory
) -> None:
    people = 60 if SOAK else 12
    dify.default = Script(first_s=0.3, text=TEXT, parts=30, part_s=0.05)
    with open_stage(plan(dify, tmp_path_factory, {"refresh_s": 1.0})) as stage:
        users = [next(PEOPLE) for _ in range(people)]
        for user in users:
            stage.send_bot(user, f"几天？{user}")
            time.sleep(random.Random(SEED).uniform(0.05, 0.2))
        bubbles = {user: finished(stage, user) for user in users}
    first = {run.query.removeprefix("几天？"): run.first_at for run in dify.runs}
    late = sorted(bubbles[user]["text_at"] - first[user] for user in users)
    print(  # noqa: T201
        f"{people} streams: first text after the model's: median {statistics.median(late):.2f} s,"
        f" longest {late[-1]:.2f} s"
    )
    assert {bubble["text"] for bubble in bubbles.values()} == {TEXT}
    # One of ten may meet a machine that is busy with something else; a soak has it for itself.
    assert late[-1 if SOAK else len(late) * 9 // 10 - 1] <= 1.5


def test_refreshes_lost_doubled_and_swapped_never_shrink_a_stream(
    stage: Stage, dify: FakeDify
) -> None:
    rounds, streams = (15, 20) if SOAK else (1, 20)
    chance, before = random.Random(SEED), stage.counts()
    stage.bot("PUT", "chances", json={"seed": SEED, **ROUGH})
    for _ in range(rounds):
        users = [next(PEOPLE) for _ in range(streams)]
        for user in users:
            parts = chance.randrange(1, 40)
            text = TEXT[: chance.randrange(20, len(TEXT))]
            dify.scripts[user] = Script(text=text, parts=parts, part_s=1.5 / parts)
            stage.send_bot(user, user)
            time.sleep(chance.uniform(0.0, 0.1))
        for user in users:
            assert finished(stage, user)["text"] == dify.scripts[user].text, f"seed {SEED}"
    counts = stage.counts()
    told = {name: counts.get(name, 0) for name in sorted(counts) if name.startswith("refresh_")}
    print(f"seed {SEED}: {rounds * streams} streams, {told}")  # noqa: T201
    assert all(counts.get(f"refresh_{name}", 0) for name in ("lost", "answer_lost", "doubled"))
    assert counts["pushed"] == before["pushed"]
    assert_grew(stage, before)
    assert len(dify.runs) == rounds * streams


def test_a_finished_stream_says_the_same_to_whoever_asks_again(
    stage: Stage, dify: FakeDify
) -> None:
    before = stage.counts()
    stage.bot("PUT", "chances", json={"after_finish": 1.0})
    for _ in range(5):
        user = next(PEOPLE)
        dify.scripts[user] = Script(text=TEXT, parts=5, part_s=0.1)
        stage.send_bot(user, user)
        finished(stage, user)
    wait_for(lambda: stage.counts()["stream_repeated"] == before["stream_repeated"] + 5)
    assert_grew(stage, before)


def test_a_picture_is_shown_by_the_stream_that_ends(stage: Stage, dify: FakeDify) -> None:
    dify.default = Script(text=TEXT, parts=10, files=(dify.hold("图.png", PICTURE),))
    user = next(PEOPLE)
    stage.bot("POST", "messages", json={"user": user, "text": "图呢？"})
    shown = finished(stage, user)
    assert shown["text"] == TEXT
    assert shown["pictures"] == [hashlib.md5(PICTURE, usedforsecurity=False).hexdigest()]


def test_twenty_deliveries_at_once_open_one_stream_and_run_the_app_once(
    stage: Stage, dify: FakeDify
) -> None:
    before, user = stage.counts(), next(PEOPLE)
    dify.scripts[user] = Script(text=TEXT, parts=10, part_s=0.1)
    msg_id = stage.send_bot(user, user, copies=20)
    assert finished(stage, user)["text"] == TEXT
    assert len(dify.runs) == 1
    wait_for(lambda: life(stage, msg_id)["message"]["connections"] == 20)
    assert_grew(stage, before)


def test_titles_of_nodes_are_seen_before_the_text_and_not_after_it(
    stage: Stage, dify: FakeDify
) -> None:
    user = next(PEOPLE)
    dify.scripts[user] = Script(
        nodes=(("tool", "检索资料", 2.5), ("llm", "写回答", 2.5)), text=TEXT, parts=4
    )
    stage.send_bot(user, user)
    for title in ("⏳ 检索资料…", "⏳ 写回答…"):
        until(lambda wanted=title: [e for e in stage.seen(user) if e["text"] == wanted])  # type: ignore[misc]
    assert finished(stage, user)["text"] == TEXT


@pytest.mark.parametrize("process", ["worker", "web"])
def test_a_kill_in_the_middle_of_a_stream_lets_it_end_once_and_whole(
    stage: Stage, dify: FakeDify, process: str
) -> None:
    before, user = stage.counts(), next(PEOPLE)
    dify.scripts[user] = Script(text=TEXT, parts=20, part_s=0.1)
    msg_id = stage.send_bot(user, user)
    until(lambda: [e for e in stage.seen(user) if e["text_at"]])
    stage.kill(process)
    assert finished(stage, user)["text"] == TEXT
    assert len(dify.runs) <= (2 if process == "worker" else 1)
    wait_for(lambda: life(stage, msg_id)["message"]["state"] == "done")
    assert_grew(stage, before)
    stage.wait_ready()


def test_an_app_that_fails_in_the_middle_leaves_what_was_seen_and_says_so(
    stage: Stage, dify: FakeDify
) -> None:
    before, user = stage.counts(), next(PEOPLE)
    dify.scripts[user] = Script(text=TEXT, parts=10, part_s=0.5, error_after=5)
    stage.send_bot(user, user)
    text = finished(stage, user)["text"]
    half, _, sentence = text.partition("\n\n")
    assert half
    assert TEXT.startswith(half)
    assert sentence.startswith("抱歉")
    assert_grew(stage, before)


def test_three_messages_of_one_person_are_answered_in_order_and_a_fourth_is_the_platforms(
    stage: Stage, dify: FakeDify
) -> None:
    before, user = stage.counts(), next(PEOPLE)
    dify.default = Script(text=TEXT, parts=6, part_s=0.1)
    dify.scripts[f"{user} 0"] = Script(first_s=3.0, text=TEXT)
    for number in range(3):
        stage.send_bot(user, f"{user} {number}")
        until(lambda sent=number + 1: len(stage.seen(user)) == sent)  # type: ignore[misc]  # bound in each round
    with pytest.raises(httpx.HTTPStatusError, match="429"):
        stage.send_bot(user, "zu viel")
    until(lambda: [e["finish"] for e in stage.seen(user)] == [True] * 3)
    assert [run.query for run in dify.runs] == [f"{user} {number}" for number in range(3)]
    assert {entry["text"] for entry in stage.seen(user)} == {TEXT}
    assert_grew(stage, before)


def test_what_takes_longer_than_a_stream_may_comes_whole_in_a_message_of_its_own(
    short: Stage, dify: FakeDify
) -> None:
    before, user = short.counts(), next(PEOPLE)
    dify.scripts[user] = Script(text=TEXT, parts=50, part_s=0.1)
    msg_id = short.send_bot(user, user)
    bubble, message = until(lambda: _pair(short, user), why=lambda: short.seen(user))
    half, _, words = bubble["text"].partition("\n\n")
    assert bubble["finish"]
    assert half
    assert TEXT.startswith(half)
    assert words.startswith("（回答还没有写完")
    assert (message["source"], message["text"]) == ("push", TEXT)
    assert len(dify.runs) == 1
    wait_for(lambda: life(short, msg_id)["message"]["state"] == "done")
    assert_grew(short, before)


def _pair(stage: Stage, user: str) -> list[dict[str, Any]] | None:
    seen = stage.seen(user)
    return seen if len(seen) == 2 else None


@pytest.mark.parametrize("seconds", [0.5, 4.0])
def test_an_answer_that_the_platform_does_not_come_for_is_sent_once(
    short: Stage, dify: FakeDify, seconds: float
) -> None:
    before, user = short.counts(), next(PEOPLE)
    short.bot("PUT", "chances", json={"lost": 1.0})
    dify.scripts[user] = Script(text=TEXT, seconds=seconds)
    msg_id = short.send_bot(user, user)
    message = until(lambda: [e for e in short.seen(user) if e["source"] == "push"])[0]
    assert message["text"] == TEXT
    wait_for(lambda: life(short, msg_id)["message"]["state"] == "done")
    time.sleep(1.0)
    assert short.counts()["pushed"] == before["pushed"] + 1
    assert short.counts().get("active_used", 0) == before.get("active_used", 0)


def test_a_platform_that_comes_again_after_the_push_sees_its_stream_closed(
    short: Stage, dify: FakeDify
) -> None:
    user = next(PEOPLE)
    short.bot("PUT", "chances", json={"lost": 1.0})
    dify.scripts[user] = Script(text=TEXT, seconds=1.0)
    msg_id = short.send_bot(user, user)
    until(lambda: [e for e in short.seen(user) if e["source"] == "push"])
    short.bot("PUT", "chances", json={})
    short.bot("POST", "replay", json={"msg_id": msg_id, "copies": 1})
    wait_for(lambda: life(short, msg_id)["message"]["connections"] == 2)
    assert [e["text"] for e in short.seen(user)].count(TEXT) == 1


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_random_kills_among_rough_refreshes_end_every_stream_once(
    stage: Stage, dify: FakeDify
) -> None:
    messages, kills = (200, 20) if SOAK else (40, 5)
    chance, before = random.Random(SEED), stage.counts()
    print(f"seed {SEED}")  # noqa: T201
    stage.bot("PUT", "chances", json={"seed": SEED, **ROUGH})
    dify.default = Script(text=TEXT, parts=10, part_s=0.1)
    sent: dict[str, str] = {}
    killed = 0
    for number in range(messages):
        user = next(PEOPLE)
        sent[user] = stage.send_bot(user, f"问题 {number}")
        time.sleep(chance.uniform(0.1, 0.3))
        if number * kills >= killed * messages + chance.randrange(messages) and killed < kills:
            stage.kill(chance.choice(("worker", "web")))
            killed += 1
    for user in sent:
        until(lambda who=user: _whole(stage, who), why=lambda who=user: stage.seen(who))  # type: ignore[misc]
    time.sleep(2.0)
    whole = [[e for e in stage.seen(user) if e["text"] == TEXT] for user in sent]
    assert {len(bubbles) for bubbles in whole} == {1}
    extra = len(dify.runs) - messages
    pushed = stage.counts()["pushed"] - before["pushed"]
    print(f"{messages} streams, {killed} kills, {extra} extra runs, {pushed} pushed")  # noqa: T201
    named = [reason for msg_id in sent.values() for reason in reasons(life(stage, msg_id))]
    assert extra <= killed * 8  # each kill of a worker ends as many runs as it had slots
    assert len(named) >= extra
    assert_grew(stage, before)


def _whole(stage: Stage, user: str) -> bool:
    return any(entry["text"] == TEXT and entry["finish"] for entry in stage.seen(user))
