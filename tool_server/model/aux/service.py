"""Commands of the aux socket become jobs: admitted, checked, divided, queued; called by `process` per connection."""

import base64
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import structlog

from tool_server.model.aux import audio
from tool_server.model.aux.audio_child import SAMPLE_RATE
from tool_server.model.aux.executor import Executor
from tool_server.model.aux.kinds import Kind
from tool_server.model.aux.registry import Registry
from tool_server.model.aux.wire import (
    Answer,
    Cancel,
    Command,
    Embed,
    Judge,
    Refused,
    Score,
    Scores,
    Segment,
    Tokens,
    Transcribe,
    Transcript,
    Vectors,
)
from tool_server.model.aux.work import Job, Prompt, Runner, Sound, Text
from tool_server.model.sockets import WireError

log = structlog.get_logger()

# Recordings that are decoded at once, each by a process of its own.
DECODERS = 2

# How a request's field is named that holds the item at fault; for a recording the reason itself does.
FIELDS: Mapping[Kind, str] = {
    "embedding": "input.{index}: ",
    "rerank": "documents.{index}: ",
    "speech": "",
    "guard": "input: ",
}


class Owner(Protocol):
    """Who asked; takes the answer."""

    def put(self, message: Answer) -> None: ...


class Service:
    """The jobs of all connections."""

    def __init__(self, registry: Registry, executor: Executor, *, max_audio_s: int) -> None:
        self._registry = registry
        self._executor = executor
        self._max_audio_s = max_audio_s
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
        self._jobs: dict[str, tuple[Owner, Job]] = {}
        self._lock = threading.Lock()

    def handle(self, command: Command, owner: Owner) -> None:
        """Take one command; never waits. Raises `WireError` where it is none."""
        match command:
            case Embed():
                self._encode(command.id, "embedding", _texts(command.inputs, []), _vectors, owner)
            case Score():
                texts = _texts(command.inputs, command.types)
                self._encode(command.id, "rerank", texts, Scores, owner)
            case Judge():
                (text,) = _texts([command.prompt], [])
                prompt = Prompt(text.tokens, int(command.max_tokens))
                self._encode(command.id, "guard", [prompt], _written, owner)
            case Transcribe():
                self._transcribe(command, owner)
            case Cancel():
                self.cancel(command.id)
            case _:
                raise WireError("not a command")

    def cancel(self, request_id: str) -> None:
        with self._lock:
            known = self._jobs.get(request_id)
        if known is not None:
            known[1].finish(None)

    def cancel_all_of(self, owner: Owner) -> None:
        with self._lock:
            held = [job for other, job in self._jobs.values() if other is owner]
        for job in held:
            job.finish(None)

    def _encode(
        self,
        request_id: str,
        kind: Kind,
        payloads: Sequence[Text] | Sequence[Prompt],
        build: Callable[[str, list[Any]], Answer],
        owner: Owner,
    ) -> None:
        tokens = sum(len(payload.tokens) for payload in payloads)
        admitted = self._admit(request_id, kind, tokens, build, owner)
        if admitted is not None:
            self._queue(*admitted, payloads)

    def _transcribe(self, command: Transcribe, owner: Owner) -> None:
        """Admitted first, so that what is refused is not decoded; then decoded beside the executor."""
        admitted = self._admit(command.id, "speech", 0, _spoken([]), owner)
        if admitted is not None:
            self._decoders.submit(self._hear, *admitted, command)

    def _hear(self, job: Job, runner: Runner, command: Transcribe) -> None:
        if job.ended:
            return
        try:
            samples = audio.decode(base64.b64decode(command.audio), self._max_audio_s)
            parts = [
                Sound(part, start, command.language, command.temperature)
                for start, part in audio.parts(samples)
            ]
            job.build = _spoken(parts)
            self._queue(job, runner, parts)
        except audio.BadAudio as error:
            job.refuse("bad_input", f"file: {error}")
        except Exception as error:  # a rim: nothing above this thread would see it
            log.error("aux.decode_failed", id=job.id, exc_info=error)
            job.refuse("failed", "The recording could not be decoded; the server's log says why.")

    def _queue(self, job: Job, runner: Runner, payloads: Sequence[Any]) -> None:
        if not payloads:
            job.refuse("bad_input", "There is nothing to do.")
            return
        for index, payload in enumerate(payloads):
            if (reason := runner.refusal(payload)) is not None:
                job.refuse("bad_input", FIELDS[job.kind].format(index=index) + reason)
                return
        job.divide(payloads)
        self._executor.put(job)

    def _admit(
        self,
        request_id: str,
        kind: Kind,
        tokens: int,
        build: Callable[[str, list[Any]], Answer],
        owner: Owner,
    ) -> tuple[Job, Runner] | None:
        admitted = self._registry.admit(request_id, kind, tokens)
        if isinstance(admitted, Refused):
            owner.put(admitted)
            return None
        job = Job(request_id, kind, tokens=tokens, build=build, end=self._end)
        with self._lock:
            self._jobs[request_id] = (owner, job)
        return job, admitted

    def _end(self, job: Job, answer: Answer | None) -> None:
        self._registry.done(job.kind, job.tokens)
        with self._lock:
            owner, _ = self._jobs.pop(job.id)
        if answer is not None:
            owner.put(answer)


def _texts(inputs: Sequence[Sequence[int]], types: Sequence[Sequence[int]]) -> list[Text]:
    """Compact, because many may wait. Raises `WireError`."""
    try:
        tokens = [array("q", text) for text in inputs]
        kinds = [array("b", row) for row in types] or [array("b")] * len(tokens)
        return [Text(*pair) for pair in zip(tokens, kinds, strict=True)]
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"not tokens: {error}") from None


def _vectors(request_id: str, results: list[bytes]) -> Vectors:
    data = base64.b64encode(b"".join(results)).decode()
    return Vectors(request_id, len(results[0]) // 4, data)


def _written(request_id: str, results: list[list[int]]) -> Tokens:
    return Tokens(request_id, results[0])


def _spoken(parts: Sequence[Sound]) -> Callable[[str, list[str]], Transcript]:
    """Builds the transcript of these parts."""

    def build(request_id: str, texts: list[str]) -> Transcript:
        segments = [
            Segment(round(part.start, 2), round(part.start + seconds(part), 2), text)
            for part, text in zip(parts, texts, strict=True)
        ]
        return Transcript(request_id, segments[-1].end, segments)

    return build


def seconds(part: Sound) -> float:
    """How long a part lasts."""
    return float(len(part.samples)) / SAMPLE_RATE
