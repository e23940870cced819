"""Access tokens over threads and processes: one gettoken, few calls after a fault, what is left alone and how long."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from playground.processes import environment
from playground.wechat.faults import Fault
from playground.wechat.platform import Platform
from tests.channel.conftest import make_account
from tests.channel.wecom import calls, serve_platform
from tool_server.channel.account import Account
from tool_server.channel.token_ages import token_ages
from tool_server.channel.token_shelf import LedgerShelf, MemoryShelf, Shelf
from tool_server.channel.tokens import Tokens, token_name
from tool_server.channel.vault import Vault
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.wecom_errors import SendError
from tool_server.database import Database
from tool_server.settings import Settings

ACCOUNT = make_account()
AGENT = {"agentid": "1000002"}
HERE = Path(__file__)


@pytest.fixture
def platform_at() -> Iterator[tuple[Platform, str]]:
    with serve_platform() as found:
        yield found


@pytest.fixture
def platform(platform_at: tuple[Platform, str]) -> Platform:
    return platform_at[0]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "ledger"])
def shelf(request: pytest.FixtureRequest, database: Database, settings: Settings) -> Shelf:
    if request.param == "memory":
        return MemoryShelf()
    return LedgerShelf(database, Vault.open(settings.data_dir))


@pytest.fixture
def api(platform_at: tuple[Platform, str], shelf: Shelf, clock: Clock) -> Iterator[WeComApi]:
    api = WeComApi(platform_at[1], timeout_s=5, shelf=shelf, clock=clock, sleep=lambda _s: None)
    yield api
    api.close()


class Source:
    """gettoken in this process: counts, and gives a new token each time unless a fault is set."""

    def __init__(self) -> None:
        self.fetched = 0
        self.fault: SendError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, _account: Account) -> tuple[str, float]:
        self.fetched += 1
        self.gate.wait(90)
        if self.fault is not None:
            raise self.fault
        return f"token-{self.fetched}", 7200.0


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def tokens(shelf: Shelf, source: Source, clock: Clock) -> Tokens:
    return Tokens(shelf, source, patience_s=10, clock=clock, chance=lambda low, _high: low)


def test_a_hundred_threads_on_a_cold_cache_fetch_once(platform: Platform, api: WeComApi) -> None:
    with ThreadPoolExecutor(100) as pool:
        found = set(pool.map(lambda _: api.token(ACCOUNT), range(100)))
    assert len(found) == 1
    assert calls(platform, "gettoken") == [0]


def test_four_processes_on_a_cold_cache_fetch_once(
    platform_at: tuple[Platform, str], database: Database, settings: Settings
) -> None:
    platform, url = platform_at
    Vault.open(settings.data_dir)
    platform.api.script(Fault("gettoken", "slow_before", 1, seconds=0.5))
    ledger = database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, str(HERE), url, ledger, str(settings.data_dir)]
    environ = environment(PYTHONPATH=str(HERE.parent.parent.parent))
    started = [
        subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    found = {process.communicate(timeout=60)[0] for process in started}
    assert len(found) == 1
    assert calls(platform, "gettoken") == [0]


def test_a_token_is_renewed_early_by_one_while_the_others_use_it_on(
    tokens: Tokens, source: Source, clock: Clock
) -> None:
    assert tokens.get(ACCOUNT).value == "token-1"
    clock.now += 7200 * 0.8 + 1
    source.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(tokens.get, ACCOUNT)
        while source.fetched < 2:
            pass
        assert tokens.get(ACCOUNT).value == "token-1"
        source.gate.set()
        assert renewing.result().value == "token-2"
    assert source.fetched == 2


def test_renewal_is_spread_between_eighty_and_ninety_percent_of_a_tokens_life(
    shelf: Shelf, source: Source, clock: Clock
) -> None:
    asked: list[tuple[float, float]] = []

    def last(*share: float) -> float:
        asked.append((share[0], share[1]))
        return share[1]

    tokens = Tokens(shelf, source, patience_s=1, clock=clock, chance=last)
    tokens.get(ACCOUNT)
    assert asked == [(0.8, 0.9)]
    clock.now += 7200 * 0.9 - 1
    tokens.get(ACCOUNT)
    assert source.fetched == 1


def test_a_token_that_expired_is_not_used_while_nobody_can_renew_it(
    tokens: Tokens, source: Source, clock: Clock
) -> None:
    tokens.get(ACCOUNT)
    clock.now += 7201
    source.fault = SendError(0, "away", again_in_s=1.0)
    with pytest.raises(SendError):
        tokens.get(ACCOUNT)


def test_a_lease_whose_holder_died_ends(shelf: Shelf, tokens: Tokens, clock: Clock) -> None:
    assert shelf.claim(token_name(ACCOUNT), clock.now, clock.now + 0.0)
    assert tokens.get(ACCOUNT).value == "token-1"


def test_a_persistent_bad_token_costs_two_calls_however_many_ask(
    platform: Platform, api: WeComApi
) -> None:
    platform.api.script(Fault("agent/get", "errcode", 1000, code=40014))
    for _ in range(20):
        with pytest.raises(SendError) as caught:
            api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
        assert caught.value.code == 40014
        assert caught.value.again_in_s == 60
    assert calls(platform, "agent/get") == [40014, 40014]
    assert calls(platform, "gettoken") == [0, 0]


def test_the_pause_after_bad_tokens_doubles_and_a_good_call_ends_it(
    platform: Platform, api: WeComApi, clock: Clock
) -> None:
    platform.api.script(Fault("agent/get", "errcode", 4, code=42001))
    pauses = []
    for _ in range(2):
        with pytest.raises(SendError) as caught:
            api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
        pauses.append(caught.value.again_in_s)
        clock.now += (caught.value.again_in_s or 0) + 1
    assert pauses == [60, 120]
    api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
    platform.api.script(Fault("agent/get", "errcode", 2, code=42001))
    with pytest.raises(SendError) as caught:
        api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
    assert caught.value.again_in_s == 60


def test_a_token_that_ended_early_costs_one_more_call(platform: Platform, api: WeComApi) -> None:
    api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
    platform.api.forget_token()
    api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
    assert calls(platform, "agent/get") == [0, 40014, 0]


@pytest.mark.parametrize(("code", "pause"), [(45009, 65), (45033, 5)])
def test_a_call_limit_shuts_that_route_for_everybody_and_no_other(
    platform: Platform, api: WeComApi, clock: Clock, code: int, pause: int
) -> None:
    platform.api.script(Fault("agent/get", "errcode", 1, code=code))
    for _ in range(3):
        with pytest.raises(SendError) as caught:
            api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
        assert (caught.value.code, caught.value.again_in_s) == (code, pause)
    assert calls(platform, "agent/get") == [code]
    api.get(ACCOUNT, "/cgi-bin/getcallbackip")
    clock.now += pause + 1
    api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)


def test_a_wrong_secret_is_not_tried_again_and_again(platform: Platform, api: WeComApi) -> None:
    wrong = make_account(secret="another")
    for _ in range(50):
        with pytest.raises(SendError) as caught:
            api.token(wrong)
        assert caught.value.code == 40001
    assert calls(platform, "gettoken") == [40001]
    assert api.token(ACCOUNT)


def test_a_platform_that_is_away_is_asked_once_by_all_who_wait(
    tokens: Tokens, source: Source
) -> None:
    source.fault = SendError(0, "away", again_in_s=1.0)

    def ask(_: int) -> float | None:
        with pytest.raises(SendError) as caught:
            tokens.get(ACCOUNT)
        return caught.value.again_in_s

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(20))) == {1.0}
    assert source.fetched == 1


def test_a_busy_platform_is_asked_three_times_more(platform: Platform, api: WeComApi) -> None:
    platform.api.script(Fault("agent/get", "errcode", 3, code=-1))
    api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
    assert calls(platform, "agent/get") == [-1, -1, -1, 0]


def test_a_platform_that_stays_busy_is_left_to_whoever_asked(
    platform: Platform, api: WeComApi
) -> None:
    platform.api.script(Fault("agent/get", "errcode", 100, code=-1))
    with pytest.raises(SendError) as caught:
        api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
    assert (caught.value.code, caught.value.again_in_s) == (-1, 1.0)
    assert calls(platform, "agent/get") == [-1] * 4


def test_another_process_knows_what_one_has_met(
    platform_at: tuple[Platform, str], database: Database, settings: Settings
) -> None:
    platform, url = platform_at
    shelves = [LedgerShelf(database, Vault.open(settings.data_dir)) for _ in range(2)]
    first, second = (WeComApi(url, timeout_s=5, shelf=shelf) for shelf in shelves)
    platform.api.script(Fault("agent/get", "errcode", 1, code=45009))
    for api in (first, second):
        with pytest.raises(SendError):
            api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
    assert calls(platform, "agent/get") == [45009]
    assert first.token(ACCOUNT) == second.token(ACCOUNT)
    first.close()
    second.close()


def test_a_stored_token_is_sealed_and_no_repr_shows_one(
    platform: Platform, api: WeComApi, database: Database, settings: Settings, shelf: Shelf
) -> None:
    token = api.token(ACCOUNT)
    stored = b"".join(path.read_bytes() for path in settings.data_dir.glob("shenqiao.db*"))
    assert token.encode() not in stored
    held = shelf.read(token_name(ACCOUNT))
    assert held.value == token
    assert token not in repr(held)
    assert token not in repr(api)


def test_each_fetch_and_the_age_of_what_it_brought_are_told(
    database: Database, settings: Settings, source: Source
) -> None:
    told: list[int] = []
    shelf = LedgerShelf(database, Vault.open(settings.data_dir))
    tokens = Tokens(shelf, source, patience_s=10, fetched=told.append)
    accounts = {"acc": ACCOUNT, "other": make_account(secret="another")}
    assert token_ages(database, accounts) == {}
    source.fault = SendError(-1, "busy", again_in_s=1.0)
    with pytest.raises(SendError):
        tokens.get(accounts["other"])
    source.fault = None
    tokens.get(ACCOUNT)
    tokens.get(ACCOUNT)
    assert told == [-1, 0]
    ages = token_ages(database, accounts)
    assert list(ages) == ["acc"]
    assert 0 <= ages["acc"] < 60


def test_an_untrusted_address_is_named_in_the_error() -> None:
    with serve_platform(trusted_ips=["203.0.113.7"]) as (platform, url):
        api = WeComApi(url, timeout_s=5)
        with pytest.raises(SendError) as caught:
            api.get(ACCOUNT, "/cgi-bin/agent/get", AGENT)
        assert caught.value.code == 60020
        assert "127.0.0.1" in str(caught.value)
        assert caught.value.again_in_s is None
        assert calls(platform, "gettoken") == [0]
        api.close()


def main(url: str, ledger: str, data_dir: str) -> None:
    """One of the four processes: says that it is ready, waits for the word, prints its token."""
    database = Database(ledger)
    api = WeComApi(url, timeout_s=5, shelf=LedgerShelf(database, Vault.open(Path(data_dir))))
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    print(api.token(ACCOUNT), flush=True)  # noqa: T201
    api.close()
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
