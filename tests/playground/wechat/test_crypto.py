"""The stand-in's crypto proves itself on the published values, and shares no code with the product."""

import ast
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from playground.wechat.crypto import BadEnvelope, Secrets, decrypt, encrypt, signature

ROOT = Path(__file__).parents[3]
VECTORS: list[dict[str, Any]] = json.loads(
    (ROOT / "tests" / "vectors" / "wechat-callback-vectors.json").read_text()
)["vectors"]
SECRETS = Secrets("derivedtoken", "R/azTixs1CVSRo/fDJP5i4DORZC8RTls1fExFZ3+zSc", "wwcorp")


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(v, id=v["id"]) for v in VECTORS if v["kind"] in kinds]


def secrets_of(vector: dict[str, Any]) -> Secrets:
    return Secrets(vector["token"], vector["encoding_aes_key"], vector["receive_id"])


def raw(plain: bytes) -> str:
    """Bytes as they are, encrypted without padding."""
    encryptor = Cipher(algorithms.AES(SECRETS.key), modes.CBC(SECRETS.key[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


def padded(plain: bytes) -> bytes:
    pad = 32 - len(plain) % 32
    return plain + bytes([pad]) * pad


@pytest.mark.parametrize("vector", of_kind("url_verify", "decrypt"))
def test_a_published_value_opens_and_its_signature_is_the_same(vector: dict[str, Any]) -> None:
    secrets = secrets_of(vector)
    text = decrypt(secrets, vector["encrypt"])
    assert vector.get("plaintext", text) == text
    assert vector["check"].get("msg_bytes", len(text.encode())) == len(text.encode())
    if vector.get("msg_signature"):
        given = signature(secrets, vector["timestamp"], vector["nonce"], vector["encrypt"])
        assert given == vector["msg_signature"]


@pytest.mark.parametrize("vector", of_kind("encrypt_fixed_random"))
def test_sealing_gives_the_published_bytes(vector: dict[str, Any]) -> None:
    sealed = encrypt(secrets_of(vector), vector["plaintext"], vector["random16"].encode())
    assert sealed == vector["encrypt"]


@pytest.mark.parametrize("vector", of_kind("must_reject"))
def test_what_must_be_refused_is_refused(vector: dict[str, Any]) -> None:
    secrets = secrets_of(vector)
    wanted = signature(secrets, vector["timestamp"], vector["nonce"], vector["encrypt"])
    if "signature" in vector["id"]:
        assert wanted != vector["msg_signature"]
    else:
        assert wanted == vector["msg_signature"]
        with pytest.raises(BadEnvelope):
            decrypt(secrets, vector["encrypt"])


@pytest.mark.parametrize(
    "encrypted",
    [
        pytest.param("", id="empty"),
        pytest.param(raw(padded(b"r" * 10)), id="shorter than the header"),
        pytest.param(
            raw(padded(b"r" * 16 + b"\xff\xff\xff\xff" + b"xwwcorp")), id="length ffffffff"
        ),
        pytest.param(raw(padded(b"r" * 16 + b"\0\0\0\1" + b"xwwcor")), id="receive id cut"),
        pytest.param(raw(padded(b"r" * 16 + b"\0\0\0\1" + b"x")), id="receive id empty"),
        pytest.param(raw(padded(b"r" * 16 + b"\0\0\0\1" + b"\xffwwcorp")), id="not UTF-8"),
        pytest.param(raw(b"r" * 16 + b"\0\0\0\1xwwcorp\1\2\3\4\5"), id="pad bytes differ"),
    ],
)
def test_a_malformed_plaintext_is_refused(encrypted: str) -> None:
    with pytest.raises(BadEnvelope):
        decrypt(SECRETS, encrypted)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert decrypt(SECRETS, encrypt(SECRETS, text)) == text


def test_the_stand_in_imports_nothing_of_the_product() -> None:
    paths = list((ROOT / "playground" / "wechat").rglob("*.py"))
    assert paths
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("tool_server") for name in names), path.name
