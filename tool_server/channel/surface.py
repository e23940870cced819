"""What the surfaces have in common: the values that cross their border. One module in `surfaces/` for each."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Callback:
    """A request of the platform as it arrived."""

    query: Mapping[str, str]
    body: bytes


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
    """What a surface can carry."""

    piece_bytes: int
    piece_tail_bytes: int
