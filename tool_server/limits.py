"""Limits of each key: requests at once, requests and tokens per minute; used by the model's routes.

    with limits.enter(key, estimate(request.get_data()) + most_tokens_of_the_answer) as place:  # raises RateLimited
        answer = …
        place.meter(lambda: answer.tokens)            # or place.charge(tokens), once they are known
        return Response(place.keep(events))           # a stream keeps its place until it ends or is cut

Counts are of one web process: with n of them behind a balancer a key may have n times its limit.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from flask import Response, g, request
from prometheus_client import CollectorRegistry, Counter

from tool_server.errors import RateLimited
from tool_server.key_file import Key
from tool_server.window import Window

# When one of the running answers will end nobody knows.
RUNNING_RETRY_S = 2
# Keys that are removed leave their counts behind; over this number those that count nothing are dropped.
COUNTED_KEYS = 1000
BYTES_PER_TOKEN = 3


def estimate(body: bytes) -> int:
    """Tokens of a request's body, rather too many than too few: Chinese has 4 to 5 bytes a token, English 4, code 3."""
    return len(body) // BYTES_PER_TOKEN


class Limits:
    """The counts of all keys; one lock, held for microseconds."""

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._metrics = _Metrics(registry)

    def enter(self, key: Key, tokens: int = 0) -> "Place":
        """A place for one request that may need `tokens`, prompt and answer. Raises `RateLimited` at once when it has
        none. A request that may need more than a minute's tokens gets in when none of them are in use.
        """
        with self._lock:
            count = self._count(key)
            now = self._clock()
            held = min(max(1, tokens), count.tokens.limit) if count.tokens else 0
            if refused := count.refusal(key, held, now):
                self._metrics.refused.labels(key.name, refused.limit_name).inc()
                raise refused
            count.take(held, now)
        return Place(self, key.name, count, held)

    def leave(self, name: str, count: "_Count", held: int, used: int) -> None:
        """A request is over: its place and what it held are free, what it used counts."""
        with self._lock:
            count.give_back(held, used, self._clock())
        self._metrics.tokens.labels(name).inc(used)

    def headers(self, key: Key) -> dict[str, str]:
        """OpenAI's rate headers, for the limits that this key has."""
        with self._lock:
            count, now = self._count(key), self._clock()
            found = _headers("requests", count.requests, now, 0)
            return found | _headers("tokens", count.tokens, now, count.held)

    def show(self, response: Response) -> Response:
        """An `after_request` of the application: rate headers on what `/v1` answers to a key with limits."""
        key = g.get("key")
        if key is not None and request.path.startswith("/v1/"):
            response.headers.update(self.headers(key))
        return response

    def _count(self, key: Key) -> "_Count":
        """This key's counts; new limits begin with empty windows."""
        count = self._counts.get(key.name)
        if count is None:
            if len(self._counts) >= COUNTED_KEYS:
                now = self._clock()
                self._counts = {n: c for n, c in self._counts.items() if not c.idle(now)}
            count = self._counts[key.name] = _Count()
        count.follow(key)
        return count


class Place:
    """One running request; leaving the `with` block gives it back, unless a stream keeps it."""

    def __init__(self, limits: Limits, name: str, count: "_Count", held: int) -> None:
        self._limits = limits
        self._leave = (name, count, held)
        self._used = 0
        self._meter: Callable[[], int] = lambda: 0
        self._kept = False
        self._left = False

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None or not self._kept:
            self.close()

    def charge(self, tokens: int) -> None:
        """Count tokens that were used."""
        self._used += tokens

    def meter(self, used: Callable[[], int]) -> None:
        """`used` is asked for the tokens when the request is over, however it ends."""
        self._meter = used

    def keep(self, events: Iterator[str]) -> "Kept":
        """The same events; the place is held until they end or their reader closes them."""
        self._kept = True
        return Kept(events, self)

    def close(self) -> None:
        if self._left:
            return
        self._left = True
        try:
            self._used += self._meter()
        finally:
            self._limits.leave(*self._leave, self._used)


class Kept:
    """Events with a place. No generator: closing one that has not begun runs none of it, the place would be lost."""

    def __init__(self, events: Iterator[str], place: Place) -> None:
        self._events = events
        self._place = place

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            return next(self._events)
        except BaseException:  # the end as well
            self._place.close()
            raise

    def close(self) -> None:
        """Called by the WSGI server when the answer is out or its reader is gone."""
        try:
            if callable(close := getattr(self._events, "close", None)):
                close()
        finally:
            self._place.close()


class _Count:
    """What one key has in use."""

    def __init__(self) -> None:
        self.running = 0
        self.held = 0
        self.requests: Window | None = None
        self.tokens: Window | None = None

    def follow(self, key: Key) -> None:
        """Windows for the limits as they are now."""
        self.requests = _window(self.requests, key.requests_per_minute)
        self.tokens = _window(self.tokens, key.tokens_per_minute)

    def idle(self, now: float) -> bool:
        windows = [window for window in (self.requests, self.tokens) if window]
        return not self.running and not any(window.reset(now) for window in windows)

    def refusal(self, key: Key, held: int, now: float) -> "_Refusal | None":
        """Why one more request that may use `held` tokens has no place: the limit that lasts longest; or None."""
        reached = []
        if key.max_running is not None and self.running >= key.max_running:
            reached.append(_Refusal("max_running", "at once", key.max_running, None))
        if self.requests and (wait := self.requests.wait(1, now)) != 0:
            limit = self.requests.limit
            reached.append(_Refusal("requests_per_minute", "per minute", limit, wait))
        if self.tokens and (wait := self.tokens.wait(held, now, self.held)) != 0:
            limit = self.tokens.limit
            reached.append(_Refusal("tokens_per_minute", "per minute", limit, wait))
        return max(reached, key=lambda refusal: refusal.retry_after or 0, default=None)

    def take(self, held: int, now: float) -> None:
        self.running += 1
        self.held += held
        if self.requests:
            self.requests.add(1, now)

    def give_back(self, held: int, used: int, now: float) -> None:
        self.running -= 1
        self.held -= held
        if self.tokens and used:
            self.tokens.add(used, now)


class _Refusal(RateLimited):
    """A limit that is reached, and after how many seconds it is worth while to come back."""

    def __init__(self, name: str, span: str, limit: int, wait_s: float | None) -> None:
        retry_after = RUNNING_RETRY_S if wait_s is None else max(1, math.ceil(wait_s))
        what = "tokens" if name == "tokens_per_minute" else "requests"
        super().__init__(
            f"This key may have {limit} {what} {span} ({name}); try again in {retry_after} s.",
            retry_after=retry_after,
        )
        self.limit_name = name


def _window(before: Window | None, limit: int | None) -> Window | None:
    if limit is None:
        return None
    return before if before is not None and before.limit == limit else Window(limit)


def _headers(what: str, window: Window | None, now: float, held: int) -> dict[str, str]:
    if window is None:
        return {}
    return {
        f"x-ratelimit-limit-{what}": str(window.limit),
        f"x-ratelimit-remaining-{what}": str(window.left(now, held)),
        f"x-ratelimit-reset-{what}": f"{math.ceil(window.reset(now))}s",
    }


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.tokens = Counter(
            "shenqiao_key_tokens_total",
            "Tokens of prompts and answers, by the name of the key.",
            ["key"],
            registry=registry,
        )
        self.refused = Counter(
            "shenqiao_key_limited_total",
            "Requests that were refused because of their key's own limit.",
            ["key", "limit"],
            registry=registry,
        )
