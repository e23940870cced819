"""The backend `upstream`: OpenAI-compatible engines by URL behind our own admission; used by the routes.

A request is read here (`upstream_body`), counted, and becomes a call (`upstream_call`) at one of the upstreams
(`upstream_pool`) over the connections of `upstream_link`; its deltas (`upstream_stream`) become pieces
(`upstream_text`).
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry

from tool_server.errors import ApiError, Busy
from tool_server.model.backend import Part, ToolDelta
from tool_server.model.text import Piece
from tool_server.model.upstream_body import (
    UpstreamRequest,
    build_body,
    estimate_tokens,
)
from tool_server.model.upstream_call import Call, Event, Opened
from tool_server.model.upstream_link import Link
from tool_server.model.upstream_metrics import UpstreamMetrics
from tool_server.model.upstream_pool import Pool
from tool_server.model.upstream_stream import Delta, Usage
from tool_server.model.upstream_text import UpstreamText, begins_inside
from tool_server.settings import Settings, SettingsError

log = structlog.get_logger()

# A fault that shows within this time is an HTTP status; a stream that waits longer gets its head and signs of life.
FIRST_WORD_S = 1.0
TICK_S = 1.0
BUSY_RETRY_S = 2
# Threads of the web process that must be left for everything but answers.
SPARE_THREADS = 16


# What the wire carries; an upstream that was started without its parser of tool calls refuses them by name.
FEATURES = ("tool-call", "multi-tool-call", "stream-tool-call", "structured-output", "thinking")


class UpstreamBackend:
    """All upstreams of this process as one model."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        """Begins to look at the upstreams' health. Raises `SettingsError`."""
        self._settings = settings
        self._pool = Pool(
            read_urls(settings),
            failures=settings.model_upstream_failures,
            pause_s=settings.model_upstream_probe_s,
        )
        metrics = UpstreamMetrics(registry, self._pool)
        self._link = Link(settings, self._pool, metrics)
        metrics.watch_waiting(lambda: float(self._link.waiting))
        self._admitted = Admitted(admission(settings))

    def read(self, body: object) -> UpstreamRequest:
        return UpstreamRequest.model_validate(body)

    def start(self, asked: UpstreamRequest) -> "UpstreamAnswer":
        """Admission, then the call. Raises `ApiError` for what is known within a second."""
        started = time.monotonic()
        body = build_body(self._settings, asked, self.context_tokens)
        self._admitted.enter()
        call = Call(f"chatcmpl-{secrets.token_hex(12)}", body, self._link)
        call.start(self._admitted.leave)
        answer = UpstreamAnswer(call, asked, self._text(asked), estimate(asked), started)
        answer.wait_for_first_word()
        return answer

    @property
    def context_tokens(self) -> int:
        return self._settings.model_upstream_context_tokens or self._pool.context_tokens

    def describe(self) -> Mapping[str, object]:
        return {
            "context_length": self.context_tokens,
            "max_output_tokens": self._settings.model_max_tokens,
            "features": FEATURES,
        }

    def check(self) -> Mapping[str, object]:
        """Ready as long as one upstream is."""
        state = {upstream.name: upstream.circuit for upstream in self._pool.upstreams}
        return {"ok": self._pool.answering, "state": state}

    def close(self) -> None:
        self._link.close()

    def _text(self, asked: UpstreamRequest) -> UpstreamText:
        model = self._settings.model_upstream_model or self._pool.upstreams[0].model
        guess = begins_inside(self._settings.model_upstream_reasoning, model)
        return UpstreamText(inside=guess and asked.thinks and not asked.constrained)


class Admitted:
    """How many requests run or wait; one more is refused at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            if self._count >= self._limit:
                raise Busy("All places are taken; try again in a moment.", retry_after=BUSY_RETRY_S)
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1


@dataclass
class UpstreamAnswer:
    """An answer on its way; see `backend.Running`."""

    call: Call
    asked: UpstreamRequest
    text: UpstreamText
    prompt_guess: int
    started: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_s: float | None = None
    finish_reason: str = "stop"
    complete: bool = False
    usage: Usage | None = None
    _first: Event | None = None
    _closed: bool = False
    _shown: list[str] = field(
        default_factory=list
    )  # for the estimate of an upstream that counts nothing
    _content: list[str] = field(default_factory=list)  # of an answer that goes out as a whole

    @property
    def id(self) -> str:
        return self.call.id

    def wait_for_first_word(self) -> None:
        """A refusal, or a loss of all upstreams, that shows at once. Raises it."""
        self._first = self.call.next(FIRST_WORD_S)
        if isinstance(self._first, ApiError):
            raise self._first

    def pieces(self, tick: Callable[[], bool] = lambda: False) -> Iterator[Part | None]:
        """Parts in order, None each second of silence. Raises `ApiError`. A reader that leaves ends the call."""
        try:
            while not self.complete:
                if tick():
                    return
                event, self._first = self._first or self.call.next(TICK_S), None
                if event is None:
                    yield None
                elif isinstance(event, ApiError):
                    raise event
                elif not isinstance(event, Opened):
                    yield from self._advance(event)
            yield from self._flush()
        finally:
            self.close()

    def close(self) -> None:
        """Nobody reads any more, perhaps nobody ever did: the upstream is left at once."""
        if not self._closed:
            self._closed = True
            self.call.cancel()
            self._count()
            self._report()

    def _advance(self, deltas: list[Delta]) -> Iterator[Part]:
        for delta in deltas:
            if delta.tells and self.first_token_s is None:
                self.first_token_s = time.monotonic() - self.started
            self.usage = delta.usage or self.usage
            self.finish_reason = delta.finish or self.finish_reason
            self.complete = self.complete or delta.done
            yield from self._show(delta)

    def _show(self, delta: Delta) -> Iterator[Part]:
        self._shown += [delta.reasoning, delta.content]
        if delta.reasoning:
            yield from self.text.reason(delta.reasoning)
        if delta.content and self.asked.stream:
            yield from self.text.content(delta.content)
        elif delta.content:
            self._content.append(delta.content)
        for tool in delta.tools:
            self._shown += [tool.name, tool.arguments]
            yield tool

    def _flush(self) -> Iterator[Piece | ToolDelta]:
        stopped = self.finish_reason == "stop"
        if self._content:
            yield from self.text.whole("".join(self._content), stopped=stopped)
        yield from self.text.end(stopped=stopped)

    def _count(self) -> None:
        """The upstream's own count; a guess, said in the log, where it gave none."""
        if self.usage is None and self.complete:
            log.warning("upstream.usage_estimated", id=self.id, upstream=self.call.upstream)
        guess = Usage(self.prompt_guess, estimate_tokens(self._shown) if any(self._shown) else 0)
        usage = self.usage or guess
        self.prompt_tokens, self.completion_tokens = usage.prompt_tokens, usage.completion_tokens

    def _report(self) -> None:
        """One line per answer, as for the engine's; never its text."""
        if self.text.lone:
            log.warning("upstream.lone_think", id=self.id, upstream=self.call.upstream)
        log.info(
            "model.finished",
            id=self.id,
            upstream=self.call.upstream,
            tries=self.call.tries,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            first_token_s=round(self.first_token_s or 0.0, 4),
            reason=self.finish_reason if self.complete else "cancelled",
        )


def read_urls(settings: Settings) -> tuple[str, ...]:
    """The upstreams' base URLs. Raises `SettingsError` when there are none."""
    urls = tuple(url for url in settings.model_upstream_urls.split(",") if url)
    if not urls:
        raise SettingsError(
            "SHENQIAO_MODEL_UPSTREAM_URLS is empty; SHENQIAO_MODEL_BACKEND=upstream needs at least one URL."
        )
    return urls


def estimate(asked: UpstreamRequest) -> int:
    return estimate_tokens([str(message.plain()["content"] or "") for message in asked.messages])


def admission(settings: Settings) -> int:
    """Requests that may run or wait: each holds a thread of the web process, and health needs threads as well."""
    threads = settings.web_threads - SPARE_THREADS
    running = settings.model_upstream_max_running
    if running > threads:
        log.warning("web.few_threads", web_threads=settings.web_threads, running=running)
    return max(1, min(running + settings.model_max_queued, threads))
