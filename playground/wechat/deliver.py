"""Bringing messages to the product: encrypted callbacks, the 5-second cut, new deliveries; called by the routes."""

import secrets as randomness
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from playground.wechat.crypto import BadEnvelope, Secrets, encrypt, signature
from playground.wechat.ledger import Delivery, Ledger
from playground.wechat.limits import Limits, cut
from playground.wechat.message import Message, build, read_reply


@dataclass
class Courier:
    """Delivers for one app; each message in a thread of its own."""

    secrets: Secrets
    corp_id: str
    agent_id: int
    limits: Limits
    ledger: Ledger
    fresh: bool = True  # a new delivery has a new timestamp, nonce and ciphertext (not documented)
    callback_url: str = ""
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(
            trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
    )

    def check_address(self, url: str) -> dict[str, object]:
        """The GET check; the URL is kept when it passes."""
        echo = randomness.token_hex(8)
        encrypted = encrypt(self.secrets, echo)
        query = {**self._signed(encrypted), "echostr": encrypted}
        started = time.monotonic()
        try:
            answer = self.http.get(url, params=query, timeout=self.limits.check_s)
        except httpx.HTTPError as error:
            return {"ok": False, "reason": f"no answer: {type(error).__name__}"}
        seconds = time.monotonic() - started
        if answer.status_code != 200 or answer.content != echo.encode():
            return {
                "ok": False,
                "reason": f"answered {answer.status_code}, not the text",
                "seconds": seconds,
            }
        self.callback_url = url
        return {"ok": True, "seconds": seconds}

    def send(self, message: Message, copies: int = 1) -> None:
        """Deliver in the background; `copies` at once, each with its own new deliveries."""
        for _ in range(copies):
            threading.Thread(target=self._deliver, args=(message,), daemon=True).start()

    def _deliver(self, message: Message) -> None:
        """Until it was taken, or the platform gives it up."""
        request = self._request(message)
        for number in range(1, self.limits.deliveries + 1):
            if self.fresh:
                request = self._request(message)
            if self._try(message, number, request):
                return
            time.sleep(self.limits.gap_s)
        self.ledger.counts["given_up"] += 1

    def _try(self, message: Message, number: int, request: tuple[dict[str, str], bytes]) -> bool:
        """One delivery; True when the product has taken the message."""
        query, body = request
        started_at, started = time.time(), time.monotonic()
        status, outcome = 0, "cut"
        try:
            answer = self.http.post(
                self.callback_url, params=query, content=body, timeout=self.limits.callback_s
            )
            status = answer.status_code
            if time.monotonic() - started <= self.limits.callback_s:
                outcome = self._take(message, answer)
        except httpx.TimeoutException:
            pass
        except httpx.HTTPError:
            outcome = "failed"
        seconds = time.monotonic() - started
        self.ledger.delivered(
            Delivery(message.id, number, started_at, seconds, status, outcome)  # type: ignore[arg-type]
        )
        return outcome in ("shown", "empty", "invalid")

    def _take(self, message: Message, answer: httpx.Response) -> str:
        """What the platform does with an answer in time: only 200 is success, only a right reply is shown."""
        if answer.status_code != 200:
            return "failed"
        if not answer.content.strip() or answer.content == b"success":
            return "empty"
        try:
            text = read_reply(self.secrets, answer.content, message)
        except BadEnvelope:
            return "invalid"
        if self.ledger.answered_passively(message.id):
            self.ledger.counts["duplicate_passive"] += 1
            return "empty"
        self.ledger.show(
            message.user, "passive", cut(text, self.limits.text_bytes), msg_id=message.id
        )
        return "shown"

    def _request(self, message: Message) -> tuple[dict[str, str], bytes]:
        encrypted = encrypt(self.secrets, message.xml(self.corp_id, self.agent_id))
        return self._signed(encrypted), self.envelope(encrypted)

    def envelope(self, encrypted: str) -> bytes:
        outer = {"ToUserName": self.corp_id, "AgentID": str(self.agent_id), "Encrypt": encrypted}
        return build(outer).encode()

    def _signed(self, encrypted: str, timestamp: float | None = None) -> dict[str, str]:
        at, nonce = str(int(timestamp or time.time())), randomness.token_hex(6)
        return {
            "msg_signature": signature(self.secrets, at, nonce, encrypted),
            "timestamp": at,
            "nonce": nonce,
        }


@dataclass(frozen=True)
class Attacker:
    """Somebody who found the callback URL; what the product answers to each kind of forgery."""

    courier: Courier

    def attack(self, kind: str, message: Message) -> dict[str, object]:
        """Raises `KeyError` for an unknown kind."""
        query, body = self._kinds()[kind](message)
        answer = self.courier.http.post(
            self.courier.callback_url, params=query, content=body, timeout=10
        )
        return {"status": answer.status_code, "body": answer.text[:2000]}

    def _kinds(self) -> dict[str, Callable[[Message], tuple[dict[str, str], bytes]]]:
        return {
            "forged_signature": self._forged,
            "truncated": self._truncated,
            "foreign_receive_id": self._foreign,
            "old_timestamp": self._old,
            "plain_body": self._plain,
            "oversized": self._oversized,
            "garbage": self._garbage,
        }

    def _forged(self, message: Message) -> tuple[dict[str, str], bytes]:
        query, body = self.courier._request(message)
        return {**query, "msg_signature": "0" * 40}, body

    def _truncated(self, message: Message) -> tuple[dict[str, str], bytes]:
        query, body = self.courier._request(message)
        return query, body[: len(body) // 2]

    def _foreign(self, message: Message) -> tuple[dict[str, str], bytes]:
        ours = self.courier.secrets
        foreign = Secrets(ours.token, ours.aes_key, "wwsomebodyelse")
        encrypted = encrypt(foreign, message.xml(self.courier.corp_id, self.courier.agent_id))
        return self.courier._signed(encrypted), self.courier.envelope(encrypted)

    def _old(self, message: Message) -> tuple[dict[str, str], bytes]:
        encrypted = encrypt(
            self.courier.secrets, message.xml(self.courier.corp_id, self.courier.agent_id)
        )
        return self.courier._signed(encrypted, time.time() - 86400), self.courier.envelope(
            encrypted
        )

    def _plain(self, message: Message) -> tuple[dict[str, str], bytes]:
        query, _ = self.courier._request(message)
        return query, message.xml(self.courier.corp_id, self.courier.agent_id).encode()

    def _oversized(self, message: Message) -> tuple[dict[str, str], bytes]:
        query, body = self.courier._request(message)
        return query, body + b" " * 1_000_000

    def _garbage(self, message: Message) -> tuple[dict[str, str], bytes]:
        query, _ = self.courier._request(message)
        return query, randomness.token_bytes(300)
