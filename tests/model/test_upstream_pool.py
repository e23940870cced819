"""Choice and circuits, by a clock that the test turns."""

from collections import Counter
from contextlib import ExitStack

import pytest

from tool_server.model.upstream_pool import LONGEST_PAUSE_S, Pool, Upstream
from tool_server.model.upstream_urls import base_urls


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, count: int = 3, failures: int = 3) -> Pool:
    urls = [f"http://u{number}:1/v1" for number in range(count)]
    return Pool(urls, failures=failures, pause_s=5, clock=clock)


def state(upstream: Upstream) -> str:
    return upstream.circuit


def test_requests_spread_evenly() -> None:
    pool = make(Clock())
    with ExitStack() as flights:
        for _ in range(10):
            chosen = pool.choose()
            assert chosen is not None
            flights.enter_context(chosen.flight())
        assert sorted(upstream.in_flight for upstream in pool.upstreams) == [3, 3, 4]
    assert [upstream.in_flight for upstream in pool.upstreams] == [0, 0, 0]


def test_equals_take_turns() -> None:
    pool = make(Clock())
    names = Counter(chosen.name for _ in range(9) if (chosen := pool.choose()))
    assert set(names.values()) == {3}


def test_the_tried_are_not_chosen_again() -> None:
    pool = make(Clock(), 2)
    assert pool.choose(pool.upstreams[:1]) is pool.upstreams[1]
    assert pool.choose(pool.upstreams) is None


def test_a_busy_one_comes_last_for_a_moment() -> None:
    clock = Clock()
    pool = make(clock, 2)
    pool.upstreams[0].rest(3)
    with pool.upstreams[1].flight():
        assert pool.choose() is pool.upstreams[1]
        assert pool.choose(pool.upstreams[1:]) is pool.upstreams[0]
        clock.now += 3.1
        assert pool.choose() is pool.upstreams[0]


def test_a_circuit_goes_round() -> None:
    clock = Clock()
    (one,) = make(clock, 1).upstreams
    one.failed("x")
    one.failed("x")
    one.succeeded()
    one.failed("x")
    one.failed("x")
    one.probed()  # a good probe does not make failed calls good
    assert state(one) == "closed"
    one.failed("x")
    assert (state(one), one.usable) == ("open", False)
    one.probed()
    assert state(one) == "open"
    clock.now += 5
    one.probed()
    assert (state(one), one.usable) == ("half open", True)
    with one.flight():
        assert not one.usable
        one.succeeded()
    assert (state(one), one.usable) == ("closed", True)


def test_a_trial_that_fails_opens_the_circuit_for_twice_as_long() -> None:
    clock = Clock()
    (one,) = make(clock, 1, failures=1).upstreams
    pause = 5.0
    one.failed("x")
    for _ in range(6):
        clock.now += pause - 0.1
        one.probed()
        assert state(one) == "open"
        clock.now += 0.1
        one.probed()
        assert state(one) == "half open"
        with one.flight():
            one.failed("x")
        assert state(one) == "open"
        pause = min(pause * 2, LONGEST_PAUSE_S)


def test_probes_alone_open_it_and_one_bad_probe_ends_a_half_open_state() -> None:
    clock = Clock()
    (one,) = make(clock, 1).upstreams
    for fault in ("x", "", "x", "x"):
        one.probed(fault)
    assert state(one) == "closed"
    one.probed("x")
    assert state(one) == "open"
    clock.now += 5
    one.probed()
    one.probed("x")
    assert state(one) == "open"


def test_the_context_is_the_smallest_known() -> None:
    pool = make(Clock())
    assert pool.context_tokens == 0
    for upstream, tokens in zip(pool.upstreams, (0, 8192, 4096), strict=True):
        upstream.context_tokens = tokens
    assert pool.context_tokens == 4096


def test_urls_get_the_apis_path_where_they_have_none() -> None:
    text = "http://a:1, https://b/ ,http://c:2/openai/v1/,"
    assert base_urls(text) == ("http://a:1/v1", "https://b/v1", "http://c:2/openai/v1")


@pytest.mark.parametrize(
    "url",
    [
        "a:1",
        "ftp://a",
        "http://",
        "http://u:p@a",
        "http://a?x=1",
        "http://a#x",
        "http://a b",
        "http://a:99999",
        "http://a,http://a/",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        base_urls(url)
