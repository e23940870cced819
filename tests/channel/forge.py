"""Forged callbacks by the thousand, from one number: wrong envelopes, signatures, ciphertexts and inner texts."""

import base64
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tool_server.channel.wxcrypt import WxCrypt, decode_key

XML_BITS = (
    *(b"<xml>", b"</xml>", b"<Encrypt>", b"</Encrypt>", b"<![CDATA[", b"]]>", b"&amp;", b"&#0;"),
    *(b"<?xml version='1.0' encoding='utf-16'?>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!--"),
)
JUNK = (b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"{}", b"[]", b"null", b"%00", b"\r\n\r\n", b"=" * 40)
NAMES = ("msg_signature", "timestamp", "nonce", "echostr", "signature", "x")


@dataclass(frozen=True)
class Forged:
    """One request: a raw query and a body."""

    query: list[tuple[str, str]]
    body: bytes


class Forger:
    """Knows an account's secrets, so that what it makes comes as far as a forgery can come; `fields` are inner ones."""

    def __init__(self, seed: int, token: str, aes_key: str, inner: bytes) -> None:
        self._chance = random.Random(seed)
        self._key = decode_key(aes_key)
        self._sign = WxCrypt(token, aes_key, "").sign
        # Right in all but the receive id: whatever is done around it, it must not be taken.
        self._foreign = self._encrypted(self._packed(inner, b"wwsomebodyelse"))
        self._kinds: tuple[Callable[[], Forged], ...] = (
            self._noise,
            self._mangled_body,
            self._mangled_query,
            self._signed_noise,
            self._signed_padding,
            self._signed_inner_noise,
        )

    def next(self) -> Forged:
        return self._chance.choice(self._kinds)()

    def right(self, inner: str, receive_id: str) -> tuple[dict[str, str], bytes]:
        """What is no forgery: query and body of a message."""
        encrypt = self._encrypted(self._packed(inner.encode(), receive_id.encode()))
        signed = self._signed(encrypt)
        return dict(signed.query), signed.body

    def _noise(self) -> Forged:
        """Bytes, or bits of XML, with a query that is right in its shape."""
        parts = [self._chance.choice((*XML_BITS, *JUNK, self._bytes(30))) for _ in range(9)]
        return Forged(self._query("0" * 40), b"".join(parts[: self._chance.randrange(10)]))

    def _mangled_body(self) -> Forged:
        body = bytearray(_envelope(self._foreign))
        for _ in range(self._chance.randrange(1, 6)):
            at = self._chance.randrange(len(body) + 1)
            match self._chance.randrange(4):
                case 0:
                    body[at : at + 1] = self._bytes(2)
                case 1:
                    del body[at : at + self._chance.randrange(60)]
                case 2:
                    body[at:at] = self._chance.choice(XML_BITS + JUNK)
                case _:
                    body = body[:at] or bytearray(b"<")
        return Forged(self._query(self._signature(self._foreign)), bytes(body))

    def _mangled_query(self) -> Forged:
        query = self._query(self._signature(self._foreign))
        for _ in range(self._chance.randrange(1, 4)):
            at = self._chance.randrange(len(query))
            match self._chance.randrange(4):
                case 0:
                    query[at] = (query[at][0], self._text())
                case 1:
                    query.insert(at, (self._chance.choice(NAMES), self._text()))
                case 2 if len(query) > 1:
                    del query[at]
                case _:
                    query[at] = (query[at][0], query[at][1] * self._chance.randrange(200))
        return Forged(query, _envelope(self._foreign))

    def _signed_noise(self) -> Forged:
        """What reaches base64 and the decryption."""
        encrypt = self._chance.choice(
            (
                base64.b64encode(self._bytes(200)).decode(),
                base64.b64encode(self._bytes(12) * 16).decode(),
                self._bytes(60).decode("latin-1").translate({60: 65, 38: 65}),
                "",
            )
        )
        return self._signed(encrypt)

    def _signed_padding(self) -> Forged:
        """What reaches padding, length and receive id."""
        plain = bytearray(self._packed(self._bytes(80), self._bytes(20)))
        plain[16:20] = self._chance.choice((self._bytes(4), b"\xff" * 4, b"\0" * 4, plain[16:20]))
        data = bytes(plain) + self._bytes(32)
        return self._signed(self._encrypted(data[: len(data) - len(data) % 16], pad=False))

    def _signed_inner_noise(self) -> Forged:
        """What reaches the inner parser: right in everything, but no message."""
        bits = (*XML_BITS, *JUNK, self._bytes(40), b"<a>" * 50, b"<A>1</A>")
        inner = b"".join(self._chance.choice(bits) for _ in range(self._chance.randrange(12)))
        return self._signed(self._encrypted(self._packed(inner, b"wwcorp")))

    def _signed(self, encrypt: str) -> Forged:
        query = self._query("")
        signature = self._sign(query[1][1], query[2][1], encrypt)
        return Forged([("msg_signature", signature), *query[1:]], _envelope(encrypt))

    def _signature(self, encrypt: str) -> str:
        return self._sign(self._now(), "nonce", encrypt)

    def _query(self, signature: str) -> list[tuple[str, str]]:
        return [("msg_signature", signature), ("timestamp", self._now()), ("nonce", "nonce")]

    def _now(self) -> str:
        return str(int(time.time()))

    def _packed(self, message: bytes, receive_id: bytes) -> bytes:
        return self._bytes(16, exact=True) + len(message).to_bytes(4, "big") + message + receive_id

    def _encrypted(self, data: bytes, *, pad: bool = True) -> str:
        missing = 32 - len(data) % 32
        whole = data + bytes([missing]) * missing if pad else data
        encryptor = Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16])).encryptor()
        return base64.b64encode(encryptor.update(whole) + encryptor.finalize()).decode()

    def _bytes(self, most: int, *, exact: bool = False) -> bytes:
        return self._chance.randbytes(most if exact else self._chance.randrange(most + 1))

    def _text(self) -> str:
        options = ("", "0" * 40, "-1", "²", "1e99", "9" * 400, "\0", "汉" * 30, "n" * 70, "a&b=c")
        return self._chance.choice((*options, self._bytes(20).decode("latin-1")))


def _envelope(encrypt: str) -> bytes:
    text = f"<xml><ToUserName>wwcorp</ToUserName><Encrypt>{encrypt}</Encrypt></xml>"
    return text.encode("utf-8", "replace")
