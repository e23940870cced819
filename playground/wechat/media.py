"""Pictures, voices, videos and files that the platform holds for three days; used by `media_calls` and the surfaces.

What people send lies here too: `add` keeps it unchecked, as their own app made it. A bot gets no media id but an
address with the encrypted bytes (`seal`); whoever serves HTTP puts its own address before the path.
"""

import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from playground.wechat.crypto import PAD_BITS
from playground.wechat.limits import MediaLimits

KINDS = ("image", "voice", "video", "file")
SEALED = "sealed"  # what lies behind an address, not under a media id
# What a file of a kind begins with (90253); an MP4 has its mark after the length of its first box.
BEGINNINGS: dict[str, tuple[tuple[int, bytes], ...]] = {
    "image": ((0, b"\xff\xd8\xff"), (0, b"\x89PNG\r\n\x1a\n")),
    "voice": ((0, b"#!AMR"),),
    "video": ((4, b"ftyp"),),
    "file": (),
}
# Held at most, whatever its life; no number of the platform.
KEPT = 2000
KEPT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Medium:
    """One thing that is held, until `until` of the store's clock."""

    kind: str
    name: str
    data: bytes
    until: float


class Media:
    """The store; every method may be called by any thread."""

    def __init__(self, limits: MediaLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Medium] = OrderedDict()
        self._bytes = 0

    def add(self, kind: str, name: str, data: bytes) -> str:
        """Keep what a person sent; its media id."""
        return self._keep(Medium(kind, name, data, self._clock() + self.limits.life_s))

    def upload(self, kind: str, name: str, data: bytes) -> tuple[int, str]:
        """media/upload (90253): the error code, 0 for none, and the media id."""
        if kind not in KINDS:
            return 40004, ""
        if not data:
            return 44001, ""
        if len(data) <= self.limits.least_bytes:
            return 40006, ""
        if len(data) > self.limits.most_bytes(kind):
            return 45001, ""
        if not _begins(kind, data):
            return 40005, ""
        return 0, self.add(kind, name, data)

    def get(self, media_id: str) -> Medium | None:
        """What lies under this id, unless its time is over."""
        with self._lock:
            medium = self._held.get(media_id)
        return medium if medium is not None and self._clock() < medium.until else None

    def seal(self, media_id: str, key: bytes) -> str:
        """The path of an address that holds the medium encrypted for five minutes, under 32 bytes of key.

        Raises `KeyError`.
        """
        medium = self._held[media_id]
        until = self._clock() + self.limits.address_s
        return f"/media/{self._keep(Medium(SEALED, medium.name, encrypt(medium.data, key), until))}"

    def _keep(self, medium: Medium) -> str:
        name = f"{medium.kind}-{secrets.token_urlsafe(32)}"
        with self._lock:
            self._held[name] = medium
            self._bytes += len(medium.data)
            while len(self._held) > KEPT or self._bytes > KEPT_BYTES:
                _, oldest = self._held.popitem(last=False)
                self._bytes -= len(oldest.data)
        return name


def encrypt(data: bytes, key: bytes) -> bytes:
    """AES-256-CBC, the key's first half as IV, PKCS#7 to a multiple of 32 bytes (101033)."""
    padder = padding.PKCS7(PAD_BITS).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    padded = padder.update(data) + padder.finalize()
    return encryptor.update(padded) + encryptor.finalize()


def new_key() -> bytes:
    """The key of one address, as the long connection gives it."""
    return os.urandom(32)


def _begins(kind: str, data: bytes) -> bool:
    marks = BEGINNINGS[kind]
    return not marks or any(data[at : at + len(mark)] == mark for at, mark in marks)
