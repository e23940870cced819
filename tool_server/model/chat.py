"""The token path: messages → prompt → engine → text → pieces of an answer; called by the routes.

Admission is the engine's (it alone sees all web processes); what it refuses is an HTTP error before the first byte.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from tool_server.errors import ApiError, BadRequest, Busy, Unavailable
from tool_server.model.backend import Part
from tool_server.model.client import EngineClient, Progress, Stream
from tool_server.model.prompt import Prompt, build
from tool_server.model.request import ChatRequest
from tool_server.model.text import Detokenizer, Piece, ReasoningSplitter, StopStrings
from tool_server.model.tokenizer import ChatTokenizer
from tool_server.model.toolcalls import ToolCalls
from tool_server.model.tools import offered
from tool_server.model.wire import Accepted, Finish, Refused, Submit, Thinking
from tool_server.settings import Settings

log = structlog.get_logger()

# The engine answers a submission at once; without an answer in this time it hangs.
ADMISSION_S = 10.0
# How often a silent stream is looked at: a heartbeat for the client, which also shows whether it is still there.
TICK_S = 1.0
DEFAULT_TEMPERATURE = 0.6
DEFAULT_TOP_P = 0.95
BUSY_RETRY_S = 2


class EngineFailed(ApiError):
    """The engine failed in the middle of an answer."""

    status = 502
    code = "engine_failed"
    retry = True


@dataclass(frozen=True)
class Model:
    """What answering needs: the settings, the tokenizer, the engine."""

    settings: Settings
    tokenizer: ChatTokenizer
    engine: EngineClient

    @property
    def context_tokens(self) -> int:
        """Most tokens of prompt and answer together: the engine's word, or what is known before it has loaded."""
        if self.engine.engine is not None:
            return self.engine.engine.context_tokens
        settings = self.settings
        limits = [
            self.tokenizer.context_tokens,
            settings.model_max_prompt_tokens + settings.model_max_tokens,
        ]
        if settings.model_pages:
            limits.append((settings.model_pages - 1) * settings.model_page_tokens)
        return min(limits)


@dataclass
class Answer:
    """An answer on its way: `pieces` gives its parts as they come, afterwards the counts are right."""

    id: str
    prompt_tokens: int
    stream: Stream
    detokenizer: Detokenizer
    stops: StopStrings
    splitter: ReasoningSplitter
    calls: ToolCalls | None
    started: float
    lead: str = ""
    completion_tokens: int = 0
    first_token_s: float | None = None
    finish_reason: str = "stop"
    finish: Finish | None = field(default=None)

    @property
    def complete(self) -> bool:
        """Whether it came to its end; False where the client left."""
        return self.finish is not None or self.stops.hit

    def pieces(self, tick: Callable[[], bool] = lambda: False) -> Iterator[Part | None]:
        return pieces(self, tick)

    def close(self) -> None:
        """Nobody reads any more, perhaps nobody ever did."""
        self.stream.cancel()


def start(model: Model, request: ChatRequest) -> Answer:
    """Render, tokenise, submit. Raises `BadRequest`, `Busy`, `Unavailable` before anything was sent to the client."""
    started = time.monotonic()
    most = min(model.context_tokens - 1, model.settings.model_max_prompt_tokens)
    prompt = build(model.tokenizer, request, most=most)
    submission = build_submission(model, request, prompt)
    stream = submit(model.engine, submission)
    return Answer(
        id=submission.id,
        prompt_tokens=len(prompt.tokens),
        stream=stream,
        detokenizer=Detokenizer(model.tokenizer.decode, looks_back=model.tokenizer.looks_back),
        stops=StopStrings(request.stops()),
        splitter=ReasoningSplitter(inside=prompt.inside),
        calls=ToolCalls() if offered(request) else None,
        started=started,
        lead=prompt.lead,
    )


def build_submission(model: Model, request: ChatRequest, prompt: Prompt) -> Submit:
    """What the engine is asked for, within the limits."""
    settings = model.settings
    wanted = request.wanted_tokens() or settings.model_default_max_tokens
    room = model.context_tokens - len(prompt.tokens)
    temperature = DEFAULT_TEMPERATURE if request.temperature is None else request.temperature
    return Submit(
        id=f"chatcmpl-{secrets.token_hex(12)}",
        prompt=prompt.tokens,
        max_tokens=min(wanted, settings.model_max_tokens, room),
        temperature=temperature,
        top_p=DEFAULT_TOP_P if request.top_p is None else request.top_p,
        top_k=max(0, request.top_k or 0),
        seed=request.seed,
        schema=prompt.schema,
        thinking=thinking(model, request, prompt),
    )


def thinking(model: Model, request: ChatRequest, prompt: Prompt) -> Thinking | None:
    """The bounds of the reasoning, for models whose marks are single tokens."""
    if model.tokenizer.think is None:
        return None
    budgets = [request.thinking_budget or 0, model.settings.model_reasoning_tokens]
    start, end = model.tokenizer.think
    budget = min((budget for budget in budgets if budget), default=0)
    return Thinking(start, end, prompt.inside, budget)


def submit(engine: EngineClient, submission: Submit) -> Stream:
    """Hand it to the engine and wait for its yes or no."""
    stream = engine.submit(submission)
    match stream.next(ADMISSION_S):
        case Accepted():
            return stream
        case Refused(code="busy"):
            raise Busy("All places are taken; try again in a moment.", retry_after=BUSY_RETRY_S)
        case Refused(code="bad_schema", message=message):
            field = "response_format.json_schema"
            raise BadRequest(f"{field}: {message}", code="bad_schema", param=field)
        case Refused(code="too_long", message=message):
            raise BadRequest(message, code="context_length_exceeded", param="messages")
    stream.cancel()
    raise Unavailable(
        "The engine does not answer; try again in a moment.", retry_after=BUSY_RETRY_S
    )


def pieces(answer: Answer, tick: Callable[[], bool] = lambda: False) -> Iterator[Part | None]:
    """The answer's parts in order; None is a sign of life. Raises `EngineFailed`.

    `tick` is asked once a second: True means that nobody reads any more.
    """
    asked = 0.0
    try:
        yield from split(answer, answer.lead)
        while not answer.complete:
            if (now := time.monotonic()) - asked >= TICK_S:
                asked = now
                if tick():
                    return
            event = answer.stream.next(TICK_S)
            if event is None:
                yield None
            elif isinstance(event, Progress):
                yield from advance(answer, event)
        yield from flush(answer)
    finally:
        answer.stream.cancel()
        report(answer)


def advance(answer: Answer, progress: Progress) -> Iterator[Part]:
    """One step's tokens: to text, up to a stop string, reasoning and tool calls apart."""
    if answer.first_token_s is None and progress.tokens:
        answer.first_token_s = time.monotonic() - answer.started
    answer.completion_tokens += len(progress.tokens)
    answer.finish = progress.finish
    if progress.finish is not None:
        if progress.finish.reason == "error":
            raise EngineFailed(progress.finish.message)
        answer.finish_reason = progress.finish.reason
    yield from split(answer, answer.stops.feed(answer.detokenizer.feed(progress.tokens)))


def split(answer: Answer, text: str) -> Iterator[Part]:
    for piece in answer.splitter.feed(text):
        yield from sort(answer, piece)


def sort(answer: Answer, piece: Piece) -> Iterator[Part]:
    """Calls are looked for in the answer only, not in the reasoning."""
    if answer.calls is None or piece.reasoning:
        yield piece
    else:
        yield from answer.calls.feed(piece.text)


def flush(answer: Answer) -> Iterator[Part]:
    """What was held back, once it is sure that nothing follows."""
    if answer.stops.hit:
        answer.finish_reason = "stop"
    else:
        rest = answer.stops.feed(answer.detokenizer.end()) + answer.stops.end()
        yield from split(answer, rest)
    for piece in answer.splitter.end():
        yield from sort(answer, piece)
    if answer.calls is not None:
        yield from answer.calls.end()
        if answer.calls.count:
            answer.finish_reason = "tool_calls"


def report(answer: Answer) -> None:
    """One line per answer, for operators and for the demo's figures; never its text."""
    log.info(
        "model.finished",
        id=answer.id,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        first_token_s=round(answer.first_token_s or 0.0, 4),
        engine_s=round(answer.finish.engine_s, 4) if answer.finish else None,
        reason=answer.finish.reason if answer.finish else "cancelled",
    )
