"""The callback crypto of WeCom (WXBizMsgCrypt): signature, AES-256-CBC, receive id; called by the surfaces.

Every fault is one `CryptoError`: a caller must not learn which check refused it. The steps follow
developer.work.weixin.qq.com, document 90968: signature, base64, size, decrypt, pad, length, receive id, UTF-8.
"""

import base64
import binascii
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_CHARACTERS = 43
BLOCK = 32  # PKCS#7 to a multiple of 32, not of AES's 16
CIPHER_BLOCK = 16
HEADER = 20  # 16 random bytes and the length of the message


class CryptoError(Exception):
    """A callback that is not from the platform, or not for this account."""


@dataclass(frozen=True)
class Envelope:
    """An encrypted reply with what the platform needs to check it."""

    encrypt: str
    signature: str
    timestamp: str
    nonce: str


class WxCrypt:
    """The secrets of one account: `token` signs, `encoding_aes_key` (43 characters) encrypts."""

    def __init__(self, token: str, encoding_aes_key: str, receive_id: str) -> None:
        self._token = token
        self._key = decode_key(encoding_aes_key)
        self._receive_id = receive_id.encode()

    def __repr__(self) -> str:
        return f"WxCrypt({self._receive_id.decode()!r})"

    def open(self, encrypt: str, *, signature: str, timestamp: str, nonce: str) -> str:
        """The message inside `encrypt`, once its signature, padding, length and receive id are right."""
        expected = self.sign(timestamp, nonce, encrypt)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise CryptoError("signature")
        return self._unpack(self._decrypt(_decode(encrypt)))

    def seal(self, message: str, *, timestamp: str, nonce: str, random: bytes = b"") -> Envelope:
        """Encrypt and sign a reply; `random` (16 bytes) is drawn where it is not given."""
        body = message.encode()
        plain = (random or os.urandom(16)) + struct.pack(">I", len(body)) + body + self._receive_id
        pad = BLOCK - len(plain) % BLOCK
        encryptor = self._cipher().encryptor()
        cipher = encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()
        encrypt = base64.b64encode(cipher).decode()
        return Envelope(encrypt, self.sign(timestamp, nonce, encrypt), timestamp, nonce)

    def sign(self, timestamp: str, nonce: str, encrypt: str) -> str:
        """Lower-case hex SHA-1 of the four parts, sorted as strings."""
        parts = sorted((self._token, timestamp, nonce, encrypt))
        return hashlib.sha1("".join(parts).encode("utf-8", "replace")).hexdigest()

    def _cipher(self) -> "Cipher[modes.CBC]":
        return Cipher(algorithms.AES(self._key), modes.CBC(self._key[:CIPHER_BLOCK]))

    def _decrypt(self, cipher: bytes) -> bytes:
        if not cipher or len(cipher) % CIPHER_BLOCK:
            raise CryptoError("size")
        decryptor = self._cipher().decryptor()
        padded = decryptor.update(cipher) + decryptor.finalize()
        pad = padded[-1]
        if not 1 <= pad <= BLOCK or pad > len(padded) or padded[-pad:] != bytes([pad]) * pad:
            raise CryptoError("padding")
        return padded[:-pad]

    def _unpack(self, plain: bytes) -> str:
        if len(plain) < HEADER:
            raise CryptoError("header")
        (length,) = struct.unpack(">I", plain[16:HEADER])
        if length > len(plain) - HEADER:
            raise CryptoError("length")
        message, receive_id = plain[HEADER : HEADER + length], plain[HEADER + length :]
        if not hmac.compare_digest(receive_id, self._receive_id):
            raise CryptoError("receive id")
        try:
            return message.decode()
        except UnicodeDecodeError:
            raise CryptoError("encoding") from None


def decode_key(encoding_aes_key: str) -> bytes:
    """32 bytes from 43 characters; spare bits of the last one are allowed, as published samples have them."""
    if len(encoding_aes_key) != KEY_CHARACTERS:
        raise ValueError(f"encoding_aes_key must have {KEY_CHARACTERS} characters")
    try:
        return base64.b64decode(encoding_aes_key + "=", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("encoding_aes_key must be base64 without its last '='") from None


def _decode(encrypt: str) -> bytes:
    try:
        return base64.b64decode(encrypt, validate=True)
    except (binascii.Error, ValueError):
        raise CryptoError("base64") from None
