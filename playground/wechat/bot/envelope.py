"""The bot's callbacks and replies on the wire: JSON, encrypted with an empty receive id (101033)."""

import hmac
import json
import secrets as randomness
import time
from dataclasses import dataclass
from typing import Any

from playground.wechat.bot.message import BotMessage
from playground.wechat.crypto import BadEnvelope, Secrets, decrypt, encrypt, signature
from playground.wechat.wire import Request


@dataclass(frozen=True)
class Envelope:
    """One bot's callback secrets."""

    secrets: Secrets

    def check(self, echo: str) -> Request:
        """The address check: a GET whose answer must be `echo`."""
        encrypted = encrypt(self.secrets, echo)
        return Request({**self._signed(encrypted), "echostr": encrypted})

    def callback(self, message: BotMessage) -> Request:
        """A delivery; timestamp, nonce and ciphertext are new in each."""
        return self.seal(message.body)

    def seal(
        self, body: Any, *, secrets: Secrets | None = None, at: float | None = None
    ) -> Request:
        """Any JSON as a callback, with another's secrets or time if an attacker says so."""
        encrypted = encrypt(secrets or self.secrets, json.dumps(body))
        sealed = json.dumps({"encrypt": encrypted}).encode()
        return Request(self._signed(encrypted, at), sealed, "application/json")

    def open(self, request: Request, body: bytes) -> dict[str, Any]:
        """The reply inside `body`, which answers `request`. Raises `BadEnvelope`."""
        outer = _object(body, "the envelope")
        encrypted, given = outer.get("encrypt"), outer.get("msgsignature")
        timestamp, nonce = outer.get("timestamp"), outer.get("nonce")
        if not isinstance(encrypted, str) or not isinstance(given, str):
            raise BadEnvelope("no encrypt or msgsignature")
        if not isinstance(timestamp, int) or isinstance(timestamp, bool):
            raise BadEnvelope("timestamp is no integer")
        if nonce != request.query["nonce"]:
            raise BadEnvelope("another nonce than the request's")
        wanted = signature(self.secrets, str(timestamp), nonce, encrypted)
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            raise BadEnvelope("signature")
        return _object(decrypt(self.secrets, encrypted).encode(), "the reply")

    def _signed(self, encrypted: str, at: float | None = None) -> dict[str, str]:
        timestamp, nonce = str(int(at or time.time())), randomness.token_hex(6)
        return {
            "msg_signature": signature(self.secrets, timestamp, nonce, encrypted),
            "timestamp": timestamp,
            "nonce": nonce,
        }


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        raise BadEnvelope(f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise BadEnvelope(f"{what} is no object")
    return found
