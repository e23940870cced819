"""The platform's half of the callback crypto, written for itself; the test values prove it."""

import base64
import hashlib
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PAD_BITS = 256  # PKCS#7 to a multiple of 32 bytes


class BadEnvelope(Exception):
    """What came back is not what the platform takes; the text says which check failed."""


@dataclass(frozen=True)
class Secrets:
    """What the console knows of one app."""

    token: str
    aes_key: str
    receive_id: str

    @property
    def key(self) -> bytes:
        return base64.b64decode(self.aes_key + "=")


def signature(secrets: Secrets, timestamp: str, nonce: str, encrypted: str) -> str:
    """SHA-1 over the sorted parts."""
    joined = "".join(sorted([secrets.token, timestamp, nonce, encrypted]))
    return hashlib.sha1(joined.encode()).hexdigest()


def encrypt(secrets: Secrets, text: str, random: bytes | None = None) -> str:
    """Random, length, text and receive id, padded and encrypted, in base64."""
    data = text.encode()
    whole = (random or os.urandom(16)) + len(data).to_bytes(4, "big") + data
    padder = padding.PKCS7(PAD_BITS).padder()
    padded = padder.update(whole + secrets.receive_id.encode()) + padder.finalize()
    encryptor = _cipher(secrets).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def decrypt(secrets: Secrets, encrypted: str) -> str:
    """The text inside. Raises `BadEnvelope`."""
    try:
        data = base64.b64decode(encrypted, validate=True)
        decryptor = _cipher(secrets).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        unpadder = padding.PKCS7(PAD_BITS).unpadder()
        whole = unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise BadEnvelope("not decryptable") from None
    length = int.from_bytes(whole[16:20], "big")
    text, receive_id = whole[20 : 20 + length], whole[20 + length :]
    if len(whole) < 20 or len(text) != length:
        raise BadEnvelope("length")
    if receive_id != secrets.receive_id.encode():
        raise BadEnvelope("receive id")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise BadEnvelope("not UTF-8") from None


def _cipher(secrets: Secrets) -> "Cipher[modes.CBC]":
    return Cipher(algorithms.AES(secrets.key), modes.CBC(secrets.key[:16]))
