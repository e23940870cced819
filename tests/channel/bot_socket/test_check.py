"""What an administrator reads when a bot's account is saved or tested."""

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from tests.channel.bot_socket.bench import ACCOUNT, BOT, SECRET, Bench, make_bot, open_bench
from tests.fakes.bot_client import BotClient
from tests.waiting import until
from tool_server.channel.account import WeComBotSocket
from tool_server.channel.bot_socket.check import check_connection
from tool_server.channel.checks import Check
from tool_server.channel.checkup import Checkup
from tool_server.channel.doctor import examine


def check(bench: Bench) -> str:
    account = bench.accounts.get(ACCOUNT)
    assert isinstance(account, WeComBotSocket)
    return check_connection(bench.settings, bench.database, ACCOUNT, account)


def test_without_a_worker_the_check_connects_for_a_moment(bench: Bench) -> None:
    assert check(bench) == ""
    assert bench.bot.counts["subscribed"] == 1
    until(lambda: bench.bot.connections() == (0, 0))


def test_a_message_that_comes_in_that_moment_waits_for_a_worker(bench: Bench) -> None:
    bench.write("zhang", "刚好这时")
    assert check(bench) == ""
    bench.start()
    until(lambda: bench.answers("zhang"), why=bench.logs)
    assert bench.answers("zhang") == ["答：刚好这时"]


def test_a_wrong_secret_is_said(bench: Bench) -> None:
    bench.save(secret="wrong")
    assert "refuses bot id or secret" in check(bench)


def test_a_platform_that_is_not_there_is_said(bench: Bench) -> None:
    bench.server.stop()
    assert "cannot be reached" in check(bench)


def test_a_running_connection_is_left_alone(bench: Bench) -> None:
    bench.start()
    assert check(bench) == ""
    assert bench.bot.counts["opened"] == 1


def test_a_stranger_who_took_the_bot_is_named_and_left_alone(tmp_path: Path) -> None:
    with open_bench(tmp_path, make_bot()) as bench:
        bench.start()
        with BotClient(bench.server.url) as stranger:
            stranger.subscribe(BOT, SECRET)
            until(lambda: bench.standing() == "kicked", why=bench.logs)
            assert "Somebody else has connected this bot" in check(bench)
            assert stranger.connected


def examined(bench: Bench) -> Check:
    """What the doctor says of the connection."""
    account = bench.accounts.get(ACCOUNT)
    assert account is not None
    checks = examine(bench.settings, bench.database, ACCOUNT, account)
    return next(check for check in checks if check.name == "connection")


def test_the_doctor_tells_how_the_connection_stands_and_opens_none(bench: Bench) -> None:
    assert "No worker has connected" in examined(bench).advice
    bench.start()
    until(lambda: examined(bench).ok, why=bench.logs)
    assert "Up since" in examined(bench).advice
    bench.kill(bench.leader())
    until(lambda: "No worker holds" in examined(bench).advice)
    assert bench.bot.counts["opened"] == 1


def test_a_connection_that_a_stranger_took_is_told_by_doctor_and_metric(bench: Bench) -> None:
    bench.start()
    until(lambda: examined(bench).ok, why=bench.logs)
    registry = CollectorRegistry()
    checkup = Checkup(bench.settings, bench.database, bench.accounts, registry)
    checkup.look()
    line = f'shenqiao_channel_check_ok{{account="{ACCOUNT}",check="connection"}}'
    assert f"{line} 1.0" in generate_latest(registry).decode()
    with BotClient(bench.server.url) as stranger:
        stranger.subscribe(BOT, SECRET)
        until(lambda: not examined(bench).ok, why=bench.logs)
        assert "Somebody else has connected this bot" in examined(bench).advice
    checkup.look()
    assert f"{line} 0.0" in generate_latest(registry).decode()
