"""The callback crypto against the published and derived test values."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.work.crypto import WeChatCrypto

from tool_server.channel import wxxml
from tool_server.channel.wxcrypt import CryptoError, WxCrypt, decode_key

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "wechat-callback-vectors.json").read_text()
)["vectors"]
KEY = "R/azTixs1CVSRo/fDJP5i4DORZC8RTls1fExFZ3+zSc"


def of_kind(*kinds: str) -> list[Any]:
    found = [vector for vector in VECTORS if vector["kind"] in kinds]
    assert found
    return [pytest.param(vector, id=vector["id"]) for vector in found]


def crypt_of(vector: dict[str, Any]) -> WxCrypt:
    return WxCrypt(vector["token"], vector["encoding_aes_key"], vector["receive_id"])


def open_vector(vector: dict[str, Any]) -> str:
    crypt = crypt_of(vector)
    signature = vector.get("msg_signature") or crypt.sign(
        vector["timestamp"], vector["nonce"], vector["encrypt"]
    )
    return crypt.open(
        vector["encrypt"],
        signature=signature,
        timestamp=vector["timestamp"],
        nonce=vector["nonce"],
    )


@pytest.mark.parametrize("vector", of_kind("url_verify", "decrypt"))
def test_a_published_message_opens(vector: dict[str, Any]) -> None:
    message = open_vector(vector)
    check = vector["check"]
    assert vector.get("plaintext", message) == message
    assert hashlib.sha256(message.encode()).hexdigest() == check.get(
        "msg_sha256", hashlib.sha256(vector.get("plaintext", "").encode()).hexdigest()
    )


@pytest.mark.parametrize("vector", of_kind("encrypt_fixed_random"))
def test_sealing_with_the_published_random_gives_the_published_bytes(
    vector: dict[str, Any],
) -> None:
    sealed = crypt_of(vector).seal(
        vector["plaintext"],
        timestamp=vector.get("timestamp", "1"),
        nonce=vector.get("nonce", "n"),
        random=vector["random16"].encode(),
    )
    assert sealed.encrypt == vector["encrypt"]
    assert vector.get("msg_signature", sealed.signature) == sealed.signature


@pytest.mark.parametrize("vector", of_kind("must_reject"))
def test_a_bad_message_is_refused_with_one_kind_of_error(vector: dict[str, Any]) -> None:
    with pytest.raises(CryptoError):
        open_vector(vector)


MESSAGE = b"<xml><A>1</A></xml>"


def plain(
    message: bytes = MESSAGE, receive_id: bytes = b"corp", length: int | None = None
) -> bytes:
    size = len(message) if length is None else length
    return b"r" * 16 + size.to_bytes(4, "big") + message + receive_id


def padded(data: bytes) -> bytes:
    pad = 32 - len(data) % 32
    return data + bytes([pad]) * pad


def encrypted(data: bytes) -> bytes:
    key = decode_key(KEY)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return encryptor.update(data) + encryptor.finalize()


MALFORMED = {
    "receive id other": encrypted(padded(plain(receive_id=b"other"))),
    "receive id empty": encrypted(padded(plain(receive_id=b""))),
    "receive id only begins so": encrypted(padded(plain(receive_id=b"corporation"))),
    "receive id is a beginning": encrypted(padded(plain(receive_id=b"cor"))),
    "last byte 0": encrypted(padded(plain())[:-1] + b"\0"),
    "pad over 32": encrypted(padded(plain() + b"\x21" * 33)[:-1] + b"\x21"),
    "pad over the data": encrypted(b"\x20" * 16),
    "pad bytes differ": encrypted(padded(plain())[:-2] + b"\0" + padded(plain())[-1:]),
    "length over the data": encrypted(padded(plain(length=500))),
    "length of all ones": encrypted(padded(plain(length=0xFFFFFFFF))),
    "length one too short": encrypted(padded(plain(length=len(MESSAGE) - 1))),
    "empty": b"",
    "no whole block": encrypted(padded(plain()))[:-1],
    "shorter than its header": encrypted(padded(b"r" * 12)),
    "first byte flipped": bytes([encrypted(padded(plain()))[0] ^ 1])
    + encrypted(padded(plain()))[1:],
    "not UTF-8": encrypted(padded(plain(b"\xff\xfe"))),
    "half a surrogate": encrypted(padded(plain(b"\xed\xa0\x80"))),
}


@pytest.mark.parametrize("cipher", MALFORMED.values(), ids=MALFORMED)
def test_what_is_signed_but_malformed_is_refused_with_the_same_kind_of_error(cipher: bytes) -> None:
    crypt = WxCrypt("token", KEY, "corp")
    encrypt = base64.b64encode(cipher).decode()
    with pytest.raises(CryptoError):
        crypt.open(encrypt, signature=crypt.sign("1", "2", encrypt), timestamp="1", nonce="2")


@pytest.mark.parametrize("size", range(64))
def test_every_length_of_padding_opens(size: int) -> None:
    crypt = WxCrypt("token", KEY, "corp")
    encrypt = base64.b64encode(encrypted(padded(plain(b"x" * size)))).decode()
    signature = crypt.sign("1", "2", encrypt)
    assert crypt.open(encrypt, signature=signature, timestamp="1", nonce="2") == "x" * size


@pytest.mark.parametrize(
    "encrypt", ["", "=", "AAAA", "A" * 63, "汉", "AAA A", "A" * 64 + "\n", "-_" * 32]
)
def test_what_is_no_base64_of_blocks_is_refused(encrypt: str) -> None:
    crypt = WxCrypt("token", KEY, "corp")
    with pytest.raises(CryptoError):
        crypt.open(encrypt, signature=crypt.sign("1", "2", encrypt), timestamp="1", nonce="2")


@given(st.text(), st.text(alphabet="0123456789", max_size=12), st.text(max_size=12))
def test_what_is_sealed_opens_again(message: str, timestamp: str, nonce: str) -> None:
    message = message.encode("utf-8", "ignore").decode()
    nonce = nonce.encode("utf-8", "ignore").decode()
    crypt = WxCrypt("token", KEY, "corp")
    sealed = crypt.seal(message, timestamp=timestamp, nonce=nonce)
    opened = crypt.open(
        sealed.encrypt, signature=sealed.signature, timestamp=timestamp, nonce=nonce
    )
    assert opened == message


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(noise: bytes) -> None:
    crypt = WxCrypt("token", KEY, "corp")
    encrypt = noise.decode("latin-1")
    with pytest.raises(CryptoError):
        crypt.open(encrypt, signature=crypt.sign("1", "2", encrypt), timestamp="1", nonce="2")


@pytest.mark.parametrize("text", ["<xml>短</xml>", "长" * 1000, "a" * 11])
def test_another_implementation_opens_what_we_seal_and_the_other_way_round(text: str) -> None:
    other = WeChatCrypto("token", KEY, "corp")
    sealed = WxCrypt("token", KEY, "corp").seal(text, timestamp="1", nonce="n")
    body = f"<xml><Encrypt>{sealed.encrypt}</Encrypt></xml>"
    assert other.decrypt_message(body, sealed.signature, "1", "n") == text
    theirs = wxxml.parse(other.encrypt_message(text, "n", "1"))
    opened = WxCrypt("token", KEY, "corp").open(
        theirs["Encrypt"], signature=theirs["MsgSignature"], timestamp="1", nonce="n"
    )
    assert opened == text
