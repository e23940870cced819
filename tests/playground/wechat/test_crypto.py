"""The stand-in's crypto proves itself on the published values, and shares no code with the product."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from playground.wechat.crypto import BadEnvelope, Secrets, decrypt, encrypt, signature

ROOT = Path(__file__).parents[3]
VECTORS: list[dict[str, Any]] = json.loads(
    (ROOT / "tests" / "vectors" / "wechat-callback-vectors.json").read_text()
)["vectors"]


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(v, id=v["id"]) for v in VECTORS if v["kind"] in kinds]


def secrets_of(vector: dict[str, Any]) -> Secrets:
    return Secrets(vector["token"], vector["encoding_aes_key"], vector["receive_id"])


@pytest.mark.parametrize("vector", of_kind("url_verify", "decrypt"))
def test_a_published_value_opens_and_its_signature_is_the_same(vector: dict[str, Any]) -> None:
    secrets = secrets_of(vector)
    text = decrypt(secrets, vector["encrypt"])
    assert vector.get("plaintext", text) == text
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
    if wanted == vector["msg_signature"]:
        with pytest.raises(BadEnvelope):
            decrypt(secrets, vector["encrypt"])


def test_the_stand_in_imports_nothing_of_the_product() -> None:
    for path in (ROOT / "playground" / "wechat").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("tool_server") for name in names), path.name
