"""Bringing a bot its messages, and asking how far their streams are, with refreshes lost, doubled and swapped."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from playground.wechat.bot.envelope import Envelope
from playground.wechat.bot.message import BotMessage, refresh_body
from playground.wechat.bot.replies import StreamReply, TextReply, read_reply, read_stream
from playground.wechat.config import Chances
from playground.wechat.crypto import BadEnvelope
from playground.wechat.deliver import Deliverer
from playground.wechat.ledger import Outcome
from playground.wechat.limits import ENTRIES, STREAMS, BotLimits
from playground.wechat.shelf import Shelf
from playground.wechat.streams import Streams
from playground.wechat.wire import Answer, Broken, Cut, Request, call


@dataclass(frozen=True)
class Refresh:
    """One question how far a stream is."""

    stream: str
    at: float
    seconds: float
    outcome: str
    reason: str = ""


@dataclass
class BotCourier(Deliverer[BotMessage]):
    """Delivers a bot's messages; a reply with a stream is polled until it is finished."""

    surface: Envelope
    limits: BotLimits
    streams: Streams = field(kw_only=True)
    chances: Chances = field(kw_only=True)
    released: Callable[[BotMessage], None] = lambda _message: None  # no longer in interaction
    _first: dict[str, StreamReply] = field(default_factory=dict)  # the first reply to each message
    _refreshes: Shelf[Refresh] = field(default_factory=lambda: Shelf(ENTRIES))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, message: BotMessage, request: Request, answer: Answer) -> tuple[Outcome, str]:
        reply = read_reply(message, self.surface.open(request, answer.body), self.limits)
        match reply:
            case StreamReply():
                return self._begin(message, reply)
            case TextReply(text):
                shown = self.ledger.answer(message.id, message.user, text, surface="bot")
                return ("shown" if shown else "duplicate_passive"), ""
            case _ if reply.update:
                self.ledger.count("card_updated")
                return "shown", ""
            case _:
                self.ledger.answer(message.id, message.user, f"[{reply.title}]", surface="bot")
                return "shown", ""

    def over(self, message: BotMessage) -> None:
        if self.first_reply(message.id) is None:
            self.released(message)

    def refreshes(self, stream: str) -> list[Refresh]:
        with self._lock:
            return self._refreshes.of(stream)

    def first_reply(self, msg_id: str) -> StreamReply | None:
        """The reply that began a message's stream."""
        with self._lock:
            return self._first.get(msg_id)

    def _begin(self, message: BotMessage, reply: StreamReply) -> tuple[Outcome, str]:
        """The first reply names the stream; a later one of the same message may not name another."""
        with self._lock:
            first = self._first.setdefault(message.id, reply)
            if len(self._first) > STREAMS:
                del self._first[next(iter(self._first))]
        if first.id != reply.id:
            self.ledger.count("stream_second")
            return "invalid", "a second stream for one message"
        if first is not reply:
            return "duplicate_passive", ""
        if wrong := self._show(message, reply):
            self.released(message)
            return "invalid", wrong
        threading.Thread(target=self._poll, args=(message, reply.id), daemon=True).start()
        return "shown", ""

    def _show(self, message: BotMessage, reply: StreamReply) -> str:
        return self.streams.show(
            reply.id,
            user=message.user,
            chat=message.chat,
            msg_id=message.id,
            content=reply.content,
            finish=reply.finish,
            pictures=reply.pictures,
        )

    def _poll(self, message: BotMessage, stream: str) -> None:
        """Until the finish, or the stream's end; a held refresh goes out after the next one."""
        chance = random.Random(f"{self.chances.seed}/{message.number}")
        held: list[Request] = []
        while not self.streams.finished(stream):
            time.sleep(self.limits.refresh_s)
            if time.time() > message.created_at + self.limits.stream_s:
                self.ledger.count("stream_ended")
                break
            request = self.surface.seal(refresh_body(message, stream))
            if not held and chance.random() < self.chances.swapped:
                self.ledger.count("refresh_swapped")
                held.append(request)
                continue
            self._meet(message, stream, request, chance)
            while held:
                self._ask(message, stream, held.pop())
        self.released(message)
        if self.streams.finished(stream) and chance.random() < self.chances.after_finish:
            self._ask(message, stream, self.surface.seal(refresh_body(message, stream)))

    def _meet(
        self, message: BotMessage, stream: str, request: Request, chance: random.Random
    ) -> None:
        if chance.random() < self.chances.lost:
            self.ledger.count("refresh_lost")
            return
        heard = chance.random() >= self.chances.answer_lost
        if not heard:
            self.ledger.count("refresh_answer_lost")
        self._ask(message, stream, request, heard=heard)
        if chance.random() < self.chances.doubled:
            self.ledger.count("refresh_doubled")
            self._ask(message, stream, request)

    def _ask(
        self, message: BotMessage, stream: str, request: Request, *, heard: bool = True
    ) -> None:
        at, started, reason = time.time(), time.monotonic(), ""
        try:
            answer = call("POST", self.callback_url, request, within_s=self.limits.callback_s)
            outcome, reason = self._hear(message, stream, request, answer, heard)
        except Cut:
            outcome = "cut"
        except Broken as error:
            outcome, reason = "failed", str(error)
        self.ledger.count(f"refresh_{outcome}")
        with self._lock:
            refresh = Refresh(stream, at, time.monotonic() - started, outcome, reason)
            self._refreshes.add(stream, refresh)

    def _hear(
        self, message: BotMessage, stream: str, request: Request, answer: Answer, heard: bool
    ) -> tuple[str, str]:
        if answer.status != 200:
            return "failed", f"HTTP {answer.status}"
        if not answer.body.strip():
            return "empty", ""
        try:
            reply = read_stream(self.surface.open(request, answer.body), self.limits)
        except BadEnvelope as error:
            return "invalid", str(error)
        if reply.id != stream:
            return "invalid", "another stream"
        wrong = self._show(message, reply) if heard else ""
        return ("refused" if wrong else "taken"), wrong
