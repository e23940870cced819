"""Two replicas, one connection: kills, kicks, restarts of the platform; nothing is lost and nothing shown twice."""

import itertools
import os
import random
import time
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.channel.bot_socket.bench import ACCOUNT, BOT, SECRET, Bench, make_bot, open_bench
from tests.fakes.bot_client import BotClient
from tests.fakes.dify import Script
from tests.waiting import until, wait_for
from tool_server.channel.schema import leaders

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
TEXT = "".join(f"第{number}句话。" for number in range(30))


def assert_shown_once(bench: Bench, users: list[str], text: str = TEXT) -> None:
    until(lambda: all(bench.answers(user) for user in users), why=bench.logs)
    time.sleep(1.5)  # a second answer would have come by now
    shown = {user: [entry["text"] for entry in bench.seen(user)] for user in users}
    assert {user: texts for user, texts in shown.items() if texts != [text]} == {}
    assert bench.counts()["stream_shrunk"] == 0


@pytest.mark.timeout(600)
def led(bench: Bench) -> list[int]:
    """How many accounts each worker leads, the most first."""
    found = sa.select(sa.func.count()).where(
        leaders.c.lease_until > time.time(), leaders.c.owner != ""
    )
    per_owner = found.group_by(leaders.c.owner)
    counts = bench.database.read(lambda db: [int(count) for count in db.scalars(per_owner)])
    return sorted(counts, reverse=True)


@pytest.mark.thorough
def test_workers_share_the_connections_and_who_is_left_takes_all(bench: Bench) -> None:
    bench.server.stop()  # who leads a bot does not depend on its platform
    for number in range(4):
        bench.save(f"robot{number}", bot_id=f"bot-{number + 2}")
    bench.more()
    until(lambda: led(bench) == [5], 60, bench.logs)
    bench.more()
    until(lambda: led(bench) == [3, 2], 60, bench.logs)
    bench.kill(bench.workers[0])
    until(lambda: led(bench)[:1] == [5], 60, bench.logs)


def test_a_killed_leader_is_followed_at_once_and_nothing_is_lost_or_shown_twice(
    bench: Bench,
) -> None:
    messages, kills = (50, 10) if SOAK else (20, 2)
    chance = random.Random(seed := int(os.environ.get("TEST_SEED", time.time())))
    bench.dify.default = Script(text=TEXT, parts=15, part_s=0.05)
    bench.start(workers=2)
    users, gaps_s = [f"user{number:03d}" for number in range(messages)], []
    for number, user in enumerate(users):
        bench.write(user, f"问题 {user}")
        time.sleep(chance.uniform(0.02, 0.2))
        if (number + 1) % (messages // kills) == 0:
            bench.kill(bench.leader())
            gaps_s.append(wait_for(lambda: bench.bot.connections()[1] == 0))
            gaps_s[-1] += wait_for(lambda: bench.bot.connections()[1] == 1, why=bench.logs)
            bench.more()
            bench.wait_for_all()  # the next kill hits answers, not a start
    assert_shown_once(bench, users)
    counts, extra = bench.bot.counts, len(bench.dify.runs) - messages
    print(  # noqa: T201  (the figures of this run)
        f"seed {seed}: {messages} messages, {kills} kills of the leader, gap at most"
        f" {max(gaps_s):.2f} s, {counts['redelivered']} redelivered, {extra} extra runs"
    )
    assert counts["most_open"] == 1
    assert counts["kicked"] == 0


@pytest.mark.thorough
def test_a_message_of_which_each_worker_dies_is_given_up_and_its_person_told(
    tmp_path: Path,
) -> None:
    with open_bench(tmp_path, make_bot(), channel_takeovers="2") as bench:
        bench.dify.scripts["毒药"] = Script(first_s=60)
        bench.start()
        msg_id = bench.write("zhang", "毒药")

        def leased(times: int) -> bool:
            return bench.events(msg_id).count("leased") == times

        for deaths in (1, 2):
            until(partial(leased, deaths), why=bench.logs)
            bench.kill(bench.leader())
            bench.more()
        until(lambda: bench.answers("zhang"), 60, bench.logs)
        (entry,) = [entry for entry in bench.seen("zhang") if entry["finish"]]
        assert "没能发送给您" in entry["text"]
        until(lambda: bench.timeline(msg_id)["message"]["state"] == "failed")
        shown = bench.command("trace", msg_id)
        assert shown.count("worker.lost") == 2
        assert "fault=2 workers died of it" in shown
        bench.write("zhang", "还在吗？")
        until(lambda: "答：还在吗？" in bench.answers("zhang"), why=bench.logs)


def test_a_message_that_was_claimed_is_answered_without_the_platforms_help(tmp_path: Path) -> None:
    with open_bench(tmp_path, make_bot(redeliver=False)) as bench:
        bench.dify.default = Script(text=TEXT, parts=15, part_s=0.1)
        bench.start(workers=2)
        msg_id = bench.write("zhang", "被杀")
        until(lambda: bench.seen("zhang"), why=bench.logs)
        bench.kill(bench.leader())
        assert_shown_once(bench, ["zhang"])
        assert bench.bot.counts["redelivered"] == 0
        assert bench.done(msg_id)


def test_a_leader_that_ends_hands_over_and_the_other_goes_on(bench: Bench) -> None:
    bench.start(workers=2)
    leader = bench.leader()
    leader.stop()
    bench.wait_up()
    bench.write("zhang", "还在吗？")
    assert_shown_once(bench, ["zhang"], "答：还在吗？")
    assert bench.bot.counts["most_open"] == 1
    assert bench.leader() is not leader


def test_nobody_of_ours_fights_with_a_stranger_who_takes_the_bot(bench: Bench) -> None:
    bench.start(workers=2)
    with BotClient(bench.server.url) as stranger:
        stranger.subscribe(BOT, SECRET)
        until(lambda: bench.standing() == "kicked", why=bench.logs)
        time.sleep(3)
        assert stranger.connected
        assert bench.bot.counts["kicked"] == 1
        assert bench.bot.counts["opened"] == 2
    time.sleep(1.5)
    assert bench.bot.connections()[1] == 0
    assert "account connect" in bench.logs()


@pytest.mark.parametrize("how", ["saved", "connect"])
def test_a_bot_that_was_taken_comes_back_when_somebody_says_so(bench: Bench, how: str) -> None:
    bench.start()
    with BotClient(bench.server.url) as stranger:
        stranger.subscribe(BOT, SECRET)
        until(lambda: bench.standing() == "kicked", why=bench.logs)
    if how == "saved":
        bench.save()
    else:
        assert "again" in bench.command("account", "connect", ACCOUNT)
    bench.wait_up()


def test_a_restart_of_the_platform_is_followed_by_a_new_connection(bench: Bench) -> None:
    bench.start()
    bench.server.stop()
    until(lambda: bench.standing() == "away", why=bench.logs)
    bench.server.start()
    bench.wait_up()
    bench.write("zhang", "重启之后")
    assert_shown_once(bench, ["zhang"], "答：重启之后")


def test_an_answer_that_finds_no_connection_waits_for_the_next(bench: Bench) -> None:
    bench.dify.default = Script(text=TEXT, parts=10, part_s=0.1)
    bench.start()
    msg_id = bench.write("zhang", "断线")
    until(lambda: bench.seen("zhang"), why=bench.logs)
    bench.server.stop()
    until(lambda: "given.back" in bench.events(msg_id), why=bench.logs)
    bench.server.start()
    assert_shown_once(bench, ["zhang"])
    assert len(bench.dify.runs) == 1


def test_a_connection_that_is_cut_again_and_again_loses_nothing(bench: Bench) -> None:
    bench.dify.default = Script(text=TEXT, parts=10, part_s=0.1)
    bench.start()
    users = [f"user{number}" for number in range(6)]
    for user in users:
        bench.write(user, f"问题 {user}")
        time.sleep(0.2)
        bench.bot.cut()
        bench.wait_up()
    assert_shown_once(bench, users)


def test_pings_without_an_answer_end_the_connection(tmp_path: Path) -> None:
    quick = {"channel_bot_ping_s": "0.2", "channel_bot_ack_s": "0.2"}
    with open_bench(tmp_path, make_bot(), **quick) as bench:
        bench.start()
        bench.script("ping", "lost_ack", times=2)
        until(lambda: bench.bot.counts["subscribed"] >= 2, why=bench.logs)


def test_a_bot_whose_secret_is_wrong_is_given_up_with_a_sentence(tmp_path: Path) -> None:
    with open_bench(tmp_path, make_bot()) as bench:
        bench.save(secret="wrong")
        bench.more()
        until(lambda: bench.standing() == "refused", why=bench.logs)
        bench.save()
        bench.wait_up()


def test_an_account_that_is_removed_or_switched_off_is_disconnected(bench: Bench) -> None:
    bench.start()
    bench.save(enabled=False)
    until(lambda: bench.bot.connections()[0] == 0, why=bench.logs)
    bench.save()
    bench.wait_up()
    bench.accounts.remove(ACCOUNT)
    until(lambda: bench.bot.connections()[0] == 0, why=bench.logs)


@pytest.mark.timeout(300)
def test_messages_of_each_person_are_answered_in_their_order(bench: Bench) -> None:
    people, each = (20, 10) if SOAK else (8, 4)
    bench.start(workers=2)
    bench.dify.default = Script(seconds=0.05)
    for number, person in itertools.product(range(each), range(people)):
        bench.write(f"user{person}", f"第{number}句")
    users = [f"user{person}" for person in range(people)]
    until(lambda: all(len(bench.answers(user)) == each for user in users), 200, bench.logs)
    wanted = [f"答：第{number}句" for number in range(each)]
    assert {tuple(bench.answers(user)) for user in users} == {tuple(wanted)}
    print(f"{people * each} messages of {people} people kept their order")  # noqa: T201
