"""The upstreams and their health: which one gets the next request; used by `upstream_call` and the probes.

An upstream's circuit is *closed* (in use), *open* after failures in a row (left alone), then *half open* once a pause
has passed and a probe found it well: one call may try it, and its first token closes the circuit again.
All of it belongs to the loop's thread; others only read single values.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import structlog

from tool_server.model.upstream_urls import host

log = structlog.get_logger()

LONGEST_PAUSE_S = 60.0
# What an upstream that is busy gets at least and at most, whatever its Retry-After says.
REST_S = (0.5, 10.0)


class Upstream:
    """One engine: its address, its load, its circuit."""

    def __init__(self, url: str, failures: int, pause_s: float, clock: Callable[[], float]) -> None:
        self.url = url
        self.name = host(url)
        self.model = ""
        self.context_tokens = 0
        self.in_flight = 0
        self.circuit: Literal["closed", "open", "half open"] = "closed"
        self._limit = failures
        self._failures = 0  # of calls, in a row
        self._probe_failures = 0
        self._trial = False
        self._first_pause_s = self._pause_s = pause_s
        self._open_until = 0.0
        self._rest_until = 0.0
        self._clock = clock

    @property
    def usable(self) -> bool:
        """Whether a request may go there now; half open takes one at a time."""
        return self.circuit == "closed" or (self.circuit == "half open" and not self._trial)

    @property
    def resting(self) -> bool:
        """It said that it is busy: others come first for a moment."""
        return self._clock() < self._rest_until

    @contextmanager
    def flight(self) -> Iterator[None]:
        """A request is there as long as this lasts."""
        self.in_flight += 1
        trial = self.circuit == "half open"
        self._trial |= trial
        try:
            yield
        finally:
            self.in_flight -= 1
            if trial:
                self._trial = False

    def rest(self, seconds: float) -> None:
        shortest, longest = REST_S
        self._rest_until = self._clock() + min(max(seconds, shortest), longest)

    def succeeded(self) -> None:
        """A call brought its first token."""
        self._failures, self._pause_s = 0, self._first_pause_s
        self._turn("closed")

    def failed(self, reason: str) -> None:
        """A call failed."""
        self._failures += 1
        if self._failures >= self._limit or self.circuit == "half open":
            self._open(reason)

    def probed(self, fault: str = "") -> None:
        """A probe's result. A good one ends an open circuit's pause, but does not prove that calls are answered."""
        self._probe_failures = self._probe_failures + 1 if fault else 0
        if self._probe_failures >= self._limit or (fault and self.circuit == "half open"):
            self._open(fault)
        elif not fault and self.circuit == "open" and self._clock() >= self._open_until:
            self._turn("half open")

    def _open(self, reason: str) -> None:
        if self.circuit != "open":
            self._open_until = self._clock() + self._pause_s
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._turn("open", reason)

    def _turn(self, circuit: Literal["closed", "open", "half open"], reason: str = "") -> None:
        if circuit != self.circuit:
            self.circuit = circuit
            log.warning("upstream.circuit", upstream=self.name, circuit=circuit, reason=reason)


class Pool:
    """All upstreams of one process."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        failures: int,
        pause_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.upstreams = tuple(Upstream(url, failures, pause_s, clock) for url in urls)
        self._turn = 0

    def choose(self, tried: Collection[Upstream] = ()) -> Upstream | None:
        """The one with the fewest requests; equals take turns, a resting one comes last. None: nobody is left."""
        count = len(self.upstreams)
        order = [self.upstreams[(self._turn + n) % count] for n in range(count)]
        usable = [upstream for upstream in order if upstream.usable and upstream not in tried]
        if not usable:
            return None
        chosen = min(usable, key=lambda upstream: (upstream.resting, upstream.in_flight))
        self._turn = (self.upstreams.index(chosen) + 1) % count
        return chosen

    @property
    def answering(self) -> bool:
        """Whether one of them was found well and is in use."""
        return any(upstream.circuit != "open" and upstream.model for upstream in self.upstreams)

    @property
    def context_tokens(self) -> int:
        """The smallest context of those that told theirs: any of them may get a request."""
        known = [upstream.context_tokens for upstream in self.upstreams if upstream.context_tokens]
        return min(known, default=0)
