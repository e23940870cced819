"""The load generator: N streams at once over raw HTTP, cheap while it runs, read only after the last answer.

It notes when bytes came and takes them apart afterwards, so that its own work does not disturb what it measures.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from tokenizers import Tokenizer

from scripts.bench import tokenizer

# A burst that takes longer than this hangs.
BURST_S = 1800.0
READ_BYTES = 65536


class LoadError(Exception):
    """A server did not answer as it must; the text holds what it said."""


@dataclass(frozen=True)
class Target:
    """A server with OpenAI's wire, and what its requests have besides."""

    url: str
    model: str
    key: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Text that came, and when (seconds of the monotonic clock)."""

    at: float
    text: str


@dataclass(frozen=True)
class Answer:
    """One answer; tokens are those of its usage, or where a server sends none, its events with text."""

    sent_at: float
    ended_at: float
    events: Sequence[Event]
    prompt_tokens: int | None
    completion_tokens: int
    counted_by: Literal["usage", "events"]

    @property
    def first_token_s(self) -> float:
        return self.events[0].at - self.sent_at


def prompts(words: Tokenizer, count: int, *, seed: int, tokens: tuple[int, int]) -> list[str]:
    """Texts of random words: each is a prompt of `tokens` (least, most) with its template."""
    draw = random.Random(seed)
    known = list(tokenizer.words(words))
    around = "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    frame = len(words.encode(around, add_special_tokens=False).ids)
    return [
        " " + " ".join(draw.choices(known, k=draw.randint(*tokens) - frame)) for _ in range(count)
    ]


def ask_all(target: Target, texts: Sequence[str], *, streams: int, max_tokens: int) -> list[Answer]:
    """Ask everything, `streams` at a time, each stream its next when the last has ended. Raises `LoadError`."""
    return asyncio.run(_burst(target, texts, streams, max_tokens))


async def _burst(
    target: Target, texts: Sequence[str], streams: int, max_tokens: int
) -> list[Answer]:
    waiting = iter(texts)

    async def stream() -> list[Record]:
        return [await _ask(target, text, max_tokens) for text in waiting]

    async with asyncio.timeout(BURST_S):
        records = await asyncio.gather(*(stream() for _ in range(streams)))
    return [record.answer() for some in records for record in some]


async def _ask(target: Target, text: str, max_tokens: int) -> "Record":
    address = urlsplit(target.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    record = Record(time.monotonic())
    writer.write(_request(target, text, max_tokens))
    try:
        while part := await reader.read(READ_BYTES):
            record.parts.append((time.monotonic(), part))
    finally:
        writer.close()
    return record


def _request(target: Target, text: str, max_tokens: int) -> bytes:
    body = json.dumps(
        {
            "model": target.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": max_tokens,
            "stream": True,
            **target.extra,
        }
    ).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {urlsplit(target.url).netloc}",
        f"Authorization: Bearer {target.key or 'none'}",
        "Content-Type: application/json",
        "Connection: close",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Record:
    """The bytes of one answer as they came."""

    def __init__(self, sent_at: float) -> None:
        self.sent_at = sent_at
        self.parts: list[tuple[float, bytes]] = []

    def answer(self) -> Answer:
        """Take it apart. Raises `LoadError`."""
        events: list[Event] = []
        usage: Mapping[str, int] | None = None
        for at, body in self._frames():
            usage = body.get("usage") or usage
            for choice in body["choices"]:
                delta = choice["delta"]
                text = (delta.get("reasoning_content") or "") + (delta.get("content") or "")
                if text:
                    events.append(Event(at, text))
        if not events:
            raise LoadError("An answer without text.")
        return Answer(
            self.sent_at,
            self.parts[-1][0],
            events,
            usage["prompt_tokens"] if usage else None,
            usage["completion_tokens"] if usage else len(events),
            "usage" if usage else "events",
        )

    def _frames(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """The JSON of each `data:` line, with the time when its end came."""
        rest = b""
        for at, part in self._bodies():
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                data = line.strip().removeprefix(b"data:").strip()
                if not line.startswith(b"data:") or data == b"[DONE]":
                    continue
                body = json.loads(data)
                if "choices" not in body:
                    raise LoadError(str(body)[:300])
                yield at, body

    def _bodies(self) -> Iterator[tuple[float, bytes]]:
        """The body without HTTP's chunk sizes. Raises `LoadError` where the status is not 200."""
        head, chunked, rest = b"", False, b""
        begun = False
        for at, part in self.parts:
            rest += part
            if not begun:
                head, separator, after = rest.partition(b"\r\n\r\n")
                if not separator:
                    continue
                if b" 200 " not in head.split(b"\r\n", 1)[0]:
                    raise LoadError((head + b" " + after)[:400].decode(errors="replace"))
                begun, rest = True, after
                chunked = b"transfer-encoding: chunked" in head.lower()
            if not chunked:
                yield at, rest
                rest = b""
                continue
            body, rest = _dechunk(rest)
            yield at, body


def _dechunk(data: bytes) -> tuple[bytes, bytes]:
    """The bodies of all whole chunks, and what is left."""
    bodies: list[bytes] = []
    while True:
        size, separator, after = data.partition(b"\r\n")
        if not separator or len(after) < (length := int(size, 16)) + 2:
            return b"".join(bodies), data
        bodies.append(after[:length])
        data = after[length + 2 :]
