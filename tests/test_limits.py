"""Limits of a key: never more than it may have in any minute, a place for each running request, honest times."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, g
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tool_server import limits as module
from tool_server.errors import RateLimited
from tool_server.key_file import Key, digest
from tool_server.limits import Limits, Place, estimate
from tool_server.window import WINDOW_S, Window


class Gate:
    """Limits with a clock that goes when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.registry = CollectorRegistry()
        self.limits = Limits(self.registry, lambda: self.now)

    def enter(self, key: Key, tokens: int = 0) -> Place:
        return self.limits.enter(key, tokens)

    def refusal(self, key: Key, tokens: int = 0) -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            self.limits.enter(key, tokens)
        return caught.value

    def passes(self, key: Key, used: int, *, expected: int = 0) -> None:
        with self.enter(key, expected or used) as place:
            place.charge(used)


@pytest.fixture
def gate() -> Gate:
    return Gate()


def key(name: str = "k", **limits: Any) -> Key:
    return Key(name=name, sha256=digest(name), scopes=("model",), **limits)


def test_a_key_without_limits_is_never_refused(gate: Gate) -> None:
    places = [gate.enter(key(), 10**9) for _ in range(100)]
    assert len(places) == 100
    assert gate.limits.headers(key()) == {}


def test_only_so_many_run_at_once_and_each_that_ends_makes_room(gate: Gate) -> None:
    limited = key(max_running=2)
    first, second = gate.enter(limited), gate.enter(limited)
    error = gate.refusal(limited)
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 2)
    assert "max_running" in error.message
    first.close()
    first.close()  # twice is once
    third = gate.enter(limited)
    assert "max_running" in gate.refusal(limited).message
    second.close()
    third.close()
    assert gate.enter(limited)


def test_requests_per_minute_come_back_after_the_time_that_was_told(gate: Gate) -> None:
    limited = key(requests_per_minute=2)
    gate.passes(limited, 1)
    gate.now += 30.5
    gate.passes(limited, 1)
    error = gate.refusal(limited)
    assert error.retry_after == 31  # 1000.0 counts until 1061
    assert "requests_per_minute" in error.message
    gate.now += 30
    assert gate.refusal(limited).retry_after == 1
    gate.now += 0.5
    gate.passes(limited, 1)
    assert gate.refusal(limited).retry_after == 30


def test_a_refused_request_does_not_count(gate: Gate) -> None:
    limited = key(requests_per_minute=1)
    gate.passes(limited, 1)
    for _ in range(100):
        gate.refusal(limited)
    gate.now += WINDOW_S + 1
    gate.passes(limited, 1)


def test_tokens_are_held_while_a_request_runs_and_what_it_did_not_use_comes_back(
    gate: Gate,
) -> None:
    limited = key(tokens_per_minute=100)
    running = gate.enter(limited, 80)
    error = gate.refusal(limited, 30)
    assert "tokens_per_minute" in error.message
    assert error.retry_after == 2  # when the running one ends is not known
    running.charge(10)
    running.close()
    gate.passes(limited, 90)
    assert gate.refusal(limited, 1).retry_after == 61


def test_a_request_larger_than_the_limit_gets_in_alone(gate: Gate) -> None:
    limited = key(tokens_per_minute=100)
    gate.passes(limited, 60, expected=5000)
    assert gate.refusal(limited, 5000).retry_after == 61
    gate.passes(limited, 40)


def test_what_was_used_beyond_an_estimate_is_paid_back(gate: Gate) -> None:
    limited = key(tokens_per_minute=100)
    gate.passes(limited, 300, expected=1)
    assert gate.limits.headers(limited)["x-ratelimit-remaining-tokens"] == "0"
    assert gate.refusal(limited, 1).retry_after == 180
    gate.now += 179
    assert gate.refusal(limited, 1).retry_after == 1
    gate.now += 1
    gate.passes(limited, 100)


def test_a_request_that_fails_gives_its_tokens_back_but_has_been_a_request(gate: Gate) -> None:
    limited = key(tokens_per_minute=100, requests_per_minute=2)
    with pytest.raises(ValueError, match="engine"), gate.enter(limited, 100):
        raise ValueError("the engine is full")
    assert gate.limits.headers(limited)["x-ratelimit-remaining-tokens"] == "100"
    assert gate.limits.headers(limited)["x-ratelimit-remaining-requests"] == "1"


def test_an_answer_that_breaks_off_is_charged_for_what_it_used(gate: Gate) -> None:
    limited = key(tokens_per_minute=100)
    place = gate.enter(limited, 100)
    place.meter(lambda: 30)
    with pytest.raises(ValueError, match="gone"), place:
        raise ValueError("gone")
    assert gate.limits.headers(limited)["x-ratelimit-remaining-tokens"] == "70"


def test_a_meter_that_fails_does_not_keep_the_place(gate: Gate) -> None:
    limited = key(max_running=1)
    place = gate.enter(limited)
    place.meter(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        place.close()
    gate.passes(limited, 1)


def stream(gate: Gate, limited: Key, used: Callable[[], int]) -> Any:
    """A route's way: the block is left, the stream goes on."""

    def events() -> Iterator[str]:
        yield "a"
        yield "b"

    with gate.enter(limited, 10) as place:
        place.meter(used)
        return place.keep(events())


@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_stream_keeps_its_place_until_it_is_closed_even_if_it_never_began(
    gate: Gate, read: int
) -> None:
    limited = key(max_running=1, tokens_per_minute=100)
    kept = stream(gate, limited, lambda: read)
    for _ in range(read):
        next(kept)
    gate.refusal(limited)
    kept.close()
    gate.passes(limited, 1)
    assert gate.limits.headers(limited)["x-ratelimit-remaining-tokens"] == str(99 - read)


def test_a_stream_that_ended_has_no_place_any_more(gate: Gate) -> None:
    limited = key(max_running=1)
    assert list(stream(gate, limited, lambda: 2)) == ["a", "b"]
    gate.passes(limited, 1)


def test_a_new_secret_of_a_key_has_no_fresh_counts_and_new_limits_hold_at_once(gate: Gate) -> None:
    gate.passes(key(requests_per_minute=1), 1)
    rotated = key(requests_per_minute=1).model_copy(update={"sha256": digest("other")})
    gate.refusal(rotated)
    gate.passes(key(requests_per_minute=2), 1)
    gate.passes(key("other", requests_per_minute=1), 1)


def test_headers_are_openais(gate: Gate) -> None:
    limited = key(requests_per_minute=10, tokens_per_minute=1000)
    gate.passes(limited, 100)
    with gate.enter(limited, 300):
        assert gate.limits.headers(limited) == {
            "x-ratelimit-limit-requests": "10",
            "x-ratelimit-remaining-requests": "8",
            "x-ratelimit-reset-requests": "61s",
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": "600",
            "x-ratelimit-reset-tokens": "61s",
        }


@pytest.mark.parametrize(("path", "shown"), [("/v1/models", True), ("/knowledge/search", False)])
def test_headers_are_shown_below_v1_only(gate: Gate, path: str, shown: bool) -> None:
    with Flask("test").test_request_context(path):
        g.key = key(requests_per_minute=10)
        assert ("x-ratelimit-limit-requests" in gate.limits.show(Response()).headers) is shown


def test_tokens_and_refusals_are_counted_by_name(gate: Gate) -> None:
    limited = key("bot", requests_per_minute=1)
    gate.passes(limited, 7)
    gate.refusal(limited)
    assert gate.registry.get_sample_value("shenqiao_key_tokens_total", {"key": "bot"}) == 7
    labels = {"key": "bot", "limit": "requests_per_minute"}
    assert gate.registry.get_sample_value("shenqiao_key_limited_total", labels) == 1


def test_counts_of_keys_that_are_gone_are_dropped(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COUNTED_KEYS", 10)
    busy = gate.enter(key("busy", max_running=1))
    for number in range(100):
        gate.passes(key(str(number), requests_per_minute=1), 1)
        gate.now += WINDOW_S + 1
    assert len(gate.limits._counts) <= 11
    gate.refusal(key("busy", max_running=1))
    busy.close()


def test_many_threads_never_get_more_than_there_is(gate: Gate) -> None:
    limited = key(max_running=3, requests_per_minute=100, tokens_per_minute=600)
    running, most, passed = [0], [0], [0]
    count = threading.Lock()

    def work() -> None:
        for _ in range(200):
            try:
                with gate.enter(limited, 10) as place:
                    with count:
                        running[0] += 1
                        passed[0] += 1
                        most[0] = max(most[0], running[0])
                    place.charge(10)
                    with count:
                        running[0] -= 1
            except RateLimited:
                continue

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 3
    assert passed[0] == 60  # 600 tokens at 10 each


def test_the_estimate_of_a_body_is_rather_high() -> None:
    assert estimate("年假有几天".encode()) == 5
    assert estimate(b"The quick brown fox jumps over") == 10  # about 7 tokens


# Times with fractions, so that events fall within, on and beside the edges of slices.
pauses = st.one_of(
    st.sampled_from([0.0, 0.25, 0.999, 1.0, 30.0, 59.0, 59.999, 60.0, 61.0]),
    st.floats(0, 90, allow_nan=False),
)
steps = st.lists(
    st.tuples(pauses, st.integers(1, 60), st.floats(0, 1), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=300, deadline=None)
@given(steps=steps, requests=st.integers(1, 8), tokens=st.integers(1, 50))
def test_in_no_minute_is_more_let_in_than_the_limits_say(
    steps: list[tuple[float, int, float, bool]], requests: int, tokens: int
) -> None:
    gate, entered, used = Gate(), list[float](), list[tuple[float, int]]()
    limited = key(max_running=3, requests_per_minute=requests, tokens_per_minute=tokens)
    running: list[tuple[Place, int]] = []
    waits: list[int] = []
    for pause, wanted, share, ends in steps:
        gate.now += pause
        if ends and running:
            place, held = running.pop(0)
            place.charge(int(held * share))
            used.append((gate.now, int(held * share)))
            place.close()
        try:
            running.append((gate.enter(limited, wanted), min(wanted, tokens)))
            entered.append(gate.now)
        except RateLimited as error:
            waits.append(error.retry_after or 0)
        assert len(running) <= 3
        shown = gate.limits.headers(limited)
        assert 0 <= int(shown["x-ratelimit-remaining-requests"]) <= requests
        assert 0 <= int(shown["x-ratelimit-remaining-tokens"]) <= tokens
        since = gate.now - WINDOW_S
        assert sum(at > since for at in entered) <= requests
        held_now = sum(held for _, held in running)
        assert sum(n for at, n in used if at > since) + held_now <= tokens
    assert all(1 <= wait <= WINDOW_S + 1 for wait in waits)


@settings(max_examples=300, deadline=None)
@given(steps=steps, requests=st.integers(1, 8), tokens=st.integers(1, 50))
def test_who_comes_back_after_the_time_that_was_told_gets_in(
    steps: list[tuple[float, int, float, bool]], requests: int, tokens: int
) -> None:
    gate = Gate()
    limited = key(requests_per_minute=requests, tokens_per_minute=tokens)
    for pause, wanted, share, _ in steps:
        gate.now += pause
        try:
            place = gate.enter(limited, wanted)
        except RateLimited as error:
            gate.now += error.retry_after or 0
            place = gate.enter(limited, wanted)
        place.charge(int(wanted * share * 2))  # also more than was expected
        place.close()


@settings(max_examples=200, deadline=None)
@given(
    amounts=st.lists(st.tuples(pauses, st.integers(0, 500)), max_size=50), limit=st.integers(1, 90)
)
def test_the_average_keeps_to_the_limit_even_if_no_estimate_is_right(
    amounts: list[tuple[float, int]], limit: int
) -> None:
    window, now, started, spent, largest = Window(limit), 5.0, 5.0, 0, 0
    for pause, amount in amounts:
        now += pause
        assert window.left(now) >= 0
        if window.wait(1, now) == 0:
            minutes = (now - started) / WINDOW_S
            assert spent <= limit * (minutes + 1) + largest
            window.add(amount, now)
            spent, largest = spent + amount, max(largest, amount)
    assert len(window._slices) <= WINDOW_S + 1
