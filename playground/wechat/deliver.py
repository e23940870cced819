"""Bringing messages to the product: callbacks, the 5-second cut, new deliveries; called by `platform`."""

import secrets
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Protocol

from playground.wechat.crypto import BadEnvelope
from playground.wechat.ledger import Delivery, Ledger, Outcome
from playground.wechat.limits import IN_FLIGHT, MESSAGES, Limits, cut
from playground.wechat.message import Message
from playground.wechat.wire import Answer, Broken, Cut, Request, call

# A 200 with one of these takes the message and shows nothing.
NOTHING = (b"", b"success")


class Deliverable(Protocol):
    """Something that is brought by callbacks."""

    @property
    def id(self) -> str: ...


class Patience(Protocol):
    """How long the platform waits, and how often it comes again."""

    @property
    def callback_s(self) -> float: ...
    @property
    def check_s(self) -> float: ...
    @property
    def deliveries(self) -> int: ...
    @property
    def gap_s(self) -> float: ...


class Surface[M: Deliverable](Protocol):
    """What differs from one kind of WeChat account to the next."""

    def check(self, echo: str) -> Request: ...

    def callback(self, message: M) -> Request: ...


class Replies(Surface[Message], Protocol):
    """A surface whose callbacks are answered with one text."""

    def reply(self, message: Message, body: bytes) -> str:
        """The text to show. Raises `BadEnvelope`."""


class Busy(Exception):
    """So many deliveries are on their way that another is not begun."""


@dataclass(frozen=True)
class Check:
    """What came of the address check."""

    ok: bool
    reason: str
    seconds: float


@dataclass
class Deliverer[M: Deliverable](ABC):
    """Delivers for one account; each delivery in a thread of its own."""

    surface: Surface[M]
    limits: Patience
    ledger: Ledger
    fresh: bool = True  # a new delivery has a new timestamp, nonce and ciphertext (not documented)
    callback_url: str = ""
    _requests: dict[str, Request] = field(default_factory=dict)
    _free: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(IN_FLIGHT)
    )

    def check_address(self, url: str) -> Check:
        """The GET check; the URL is kept when it passes."""
        echo = secrets.token_hex(8)
        started = time.monotonic()
        try:
            answer = call("GET", url, self.surface.check(echo), within_s=self.limits.check_s)
        except Cut:
            reason = f"no answer within {self.limits.check_s:g} s"
        except Broken as error:
            reason = f"no answer: {error}"
        else:
            right = answer == Answer(200, echo.encode())
            reason = "" if right else f"answered {answer.status}, not the text alone"
        if reason:
            self.ledger.count("checks_failed")
        else:
            self.callback_url = url
        return Check(not reason, reason, time.monotonic() - started)

    def send(self, message: M, copies: int = 1) -> None:
        """Deliver in the background; `copies` at once, each with its own new deliveries. Raises `Busy`."""
        for _ in range(copies):
            if not self._free.acquire(blocking=False):
                raise Busy
            threading.Thread(target=self._deliver, args=(message,), daemon=True).start()

    @abstractmethod
    def take(self, message: M, request: Request, answer: Answer) -> tuple[Outcome, str]:
        """What the platform does with a 200 in time that is not empty. Raises `BadEnvelope`."""

    @abstractmethod
    def over(self, message: M) -> None:
        """Called when a message is delivered no more."""

    def _deliver(self, message: M) -> None:
        """Until it was taken, or the platform gives it up."""
        try:
            for number in range(1, self.limits.deliveries + 1):
                if self._try(message, number):
                    return
                if number < self.limits.deliveries:
                    time.sleep(self.limits.gap_s)
            self.ledger.count("given_up")
        finally:
            self._free.release()
            self.over(message)

    def _try(self, message: M, number: int) -> bool:
        """One delivery; True when the product has taken the message."""
        request, status = self._request(message), 0
        started_at, started = time.time(), time.monotonic()
        outcome: Outcome
        try:
            answer = call("POST", self.callback_url, request, within_s=self.limits.callback_s)
            status = answer.status
            outcome, reason = self._take(message, request, answer)
        except Cut:
            outcome, reason = "cut", ""
        except Broken as error:
            outcome, reason = "failed", str(error)
        seconds = time.monotonic() - started
        self.ledger.delivered(
            Delivery(message.id, number, started_at, seconds, status, outcome, reason)
        )
        return outcome not in ("cut", "failed")

    def _take(self, message: M, request: Request, answer: Answer) -> tuple[Outcome, str]:
        """What the platform does with an answer in time: only 200 is success, only a right reply is shown."""
        if answer.status != 200:
            return "failed", f"HTTP {answer.status}"
        if answer.body.strip() in NOTHING:
            return "empty", ""
        try:
            return self.take(message, request, answer)
        except BadEnvelope as error:
            return "invalid", str(error)

    def _request(self, message: M) -> Request:
        """A new one, or the same bytes in every delivery of a message."""
        if self.fresh:
            return self.surface.callback(message)
        if message.id not in self._requests:
            self._requests.setdefault(message.id, self.surface.callback(message))
            if len(self._requests) > MESSAGES:
                self._requests.pop(next(iter(self._requests)), None)
        return self._requests[message.id]


@dataclass
class Courier(Deliverer[Message]):
    """For a self-built app: the reply to a callback is a text, shown once."""

    surface: Replies
    limits: Limits

    def take(self, message: Message, _request: Request, answer: Answer) -> tuple[Outcome, str]:
        text = cut(self.surface.reply(message, answer.body), self.limits.text_bytes)
        shown = self.ledger.answer(message.id, message.user, text)
        return ("shown" if shown else "duplicate_passive"), ""

    def over(self, _message: Message) -> None:
        """Nothing is kept of a message whose delivery has ended."""
