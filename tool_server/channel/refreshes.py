"""Answering what asks for a stream: the delivery of the message itself, and the refreshes after it; for `receive`.

Each reply holds all that is there. A finished stream gives the same content for ever, to whoever asks again.
"""

import time
from dataclasses import dataclass
from typing import Literal

from tool_server.caller import Caller
from tool_server.channel.account import Account
from tool_server.channel.ledger import Claim, stream_id
from tool_server.channel.screen import ending, is_progress
from tool_server.channel.services import Services
from tool_server.channel.streams import Stream
from tool_server.channel.surface import Callback, Incoming, Refused, Shown
from tool_server.channel.surfaces import STREAMS
from tool_server.errors import Unavailable
from tool_server.words import language_of, say

# How often a stream is looked at anew that changed between being read and being written.
TRIES = 3


@dataclass(frozen=True)
class Delivery:
    """A callback on its way: the account's name, the account, what came, and who waits for the reply."""

    name: str
    account: Account
    callback: Callback
    caller: Caller


def answer_delivery(
    services: Services, delivery: Delivery, incoming: Incoming, claim: Claim
) -> bytes:
    """The reply to a delivery of the message: its stream as far as it is, or nothing where nothing is shown in one."""
    stream = _first_look(services, delivery.name, stream_id(incoming.dedupe_key), claim)
    if stream.mode == "push" and not stream.stream and not stream.stream_end:
        return b""
    return _reply(services, delivery, stream, first=True)


def answer_refresh(services: Services, delivery: Delivery, stream: str) -> bytes:
    """The reply to a refresh. Raises `Refused` for a stream that is not the account's."""
    return _reply(services, delivery, _look(services, delivery.name, stream), first=False)


def _first_look(services: Services, name: str, stream: str, claim: Claim) -> Stream:
    """What is quick, such as a command's answer, is shown with the first reply."""
    patience_s = services.settings.channel_stream_first_s if claim.new else 0.0
    with services.room.seat(patience_s) as wait_s, services.room.listen(claim.message_id) as rung:
        deadline = time.monotonic() + wait_s
        while True:
            found = _look(services, name, stream)
            if _shows_text(found) or not rung.wait(deadline - time.monotonic()):
                return found


def _reply(services: Services, delivery: Delivery, stream: Stream, *, first: bool) -> bytes:
    """Sealed for this callback. An answer that nobody was there to take is as if it had not been asked for."""
    account = delivery.account
    end = _end(services, delivery, stream)
    content = end.content if end else stream.stream or _say("thinking", stream, account)
    surface = STREAMS[account.surface]
    pictures = services.streams.pictures(stream) if end and end.kind == "finished" else ()
    shown = Shown(stream.stream_id, content, end is not None, first, pictures)
    reply = surface.stream_reply(shown)
    sealed = surface.enclose(account, delivery.callback, reply, now=time.time())
    services.metrics.streamed(end.kind if end else "growing")
    if end and end.fetched_at is not None and delivery.caller.gone():
        services.streams.miss(stream, end.fetched_at)
    return sealed


@dataclass(frozen=True)
class _End:
    """The last content of a stream: its answer, or the words with which it was closed."""

    kind: Literal["finished", "closed"]
    content: str
    fetched_at: float | None = None


def _end(services: Services, delivery: Delivery, stream: Stream) -> _End | None:
    """How the stream ends, which is decided here at the latest; None while it grows."""
    for _ in range(TRIES):
        if stream.stream_end:
            return _End("closed", stream.stream_end)
        if stream.answered:
            if (fetched_at := services.streams.fetch(stream)) is not None:
                return _End("finished", stream.answer, fetched_at)
        elif _may_grow(services, stream):
            _believe(services, stream)
            return None
        else:
            words = _last_words(stream, delivery.account)
            if services.streams.hand_over(stream, words):
                return _End("closed", words)
        stream = _look(services, delivery.name, stream.stream_id)
    raise Unavailable("The stream is being changed.", retry_after=1)


def _may_grow(services: Services, stream: Stream) -> bool:
    grows = stream.mode == "stream" and stream.state in ("received", "asking")
    return grows and time.time() < stream.received_at + services.settings.channel_stream_s


def _believe(services: Services, stream: Stream) -> None:
    """One write in many refreshes."""
    now, silence_s = time.time(), services.settings.channel_stream_silence_s
    if stream.wait_until < now + silence_s / 2:
        services.streams.believe(stream, now + silence_s)


def _last_words(stream: Stream, account: Account) -> str:
    """With what a stream is closed that may not wait for its answer."""
    text = "" if is_progress(stream.stream) else stream.stream
    if stream.state == "failed":
        return ending(text, _say("failed", stream, account))
    if stream.state not in ("received", "asking") and not stream.answer:
        return text
    return ending(text, _say("continues", stream, account))


def _shows_text(stream: Stream) -> bool:
    return stream.state not in ("received", "asking") or (
        bool(stream.stream) and not is_progress(stream.stream)
    )


def _look(services: Services, name: str, stream: str) -> Stream:
    found = services.streams.look(name, stream)
    if found is None:
        raise Refused("no such stream")
    return found


def _say(name: str, stream: Stream, account: Account) -> str:
    return say(name, language_of(stream.question, account.language))
