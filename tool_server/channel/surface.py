"""What the surfaces have in common: the values that cross their border, and the verbs that each of them has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tool_server.channel.accounts import Account


class Refused(Exception):
    """A callback that is not to be trusted; the reason is for the log, never for the sender."""


@dataclass(frozen=True)
class Callback:
    """A request of the platform as it arrived; `relayed` when it came through the Dify endpoint."""

    query: Mapping[str, str]
    body: bytes = b""
    relayed: bool = False


@dataclass(frozen=True)
class Incoming:
    """One message of a person, decoded and verified."""

    dedupe_key: str
    platform_id: str
    user: str
    kind: str
    text: str
    sent_at: int


@dataclass(frozen=True)
class Limits:
    """What a surface can carry, in bytes of UTF-8; `number_bytes` of a piece are kept for its number."""

    piece_bytes: int
    number_bytes: int


class Surface(Protocol):
    """The verbs of one surface. A module of `surfaces/` is one."""

    @property
    def LIMITS(self) -> Limits: ...  # noqa: N802  (a module's constant)

    def verify(self, account: Account, callback: Callback) -> str:
        """Answer of the address check; raises `Refused`."""

    def decode(
        self, account: Account, callback: Callback, *, window_s: int, now: float
    ) -> Incoming:
        """The message of a callback; raises `Refused`."""

    def seal_reply(self, account: Account, user: str, text: str, *, now: float) -> bytes:
        """The bytes of a passive reply; made once, every delivery of the message gets the same."""

    def send_body(self, account: Account, user: str, text: str, *, message_id: int) -> str:
        """The request of one push; made once, a retry sends exactly these bytes."""
