"""Signatures in the format of Dify's daemon: `make sign`, `make sign-key`, and the check of a signed package.

The daemon reads an RSA signature (PKCS #1 v1.5, SHA-256) and a time from the zip's comment. Signed are the digests of
all contents in the zip's order, then the time as text. The last content says who vouches for the package.
"""

import base64
import binascii
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from scripts.package import archive
from scripts.package.archive import PackageError

VERIFICATION = ".verification.dify.json"
BITS = 4096
PRIVATE, PUBLIC = ".private.pem", ".public.pem"
# Neither the publisher of Dify nor one of its partners: whoever owns the key.
_VOUCHED = b'{"authorized_category":"community"}'


def make_keys(private: Path) -> Path:
    """Write a pair of keys; the public one's path. Raises `PackageError` where a key is already."""
    public = public_of(private)
    if private.exists() or public.exists():
        raise PackageError(f"{private}: a key is already there; it is never overwritten.")
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    private.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    )
    return public


def public_of(private: Path) -> Path:
    """Where the public key of a private one lies. Raises `PackageError` for another kind of name."""
    if not private.name.endswith(PRIVATE):
        raise PackageError(f"{private}: the name of a private key ends with {PRIVATE}.")
    return private.with_name(private.name.removesuffix(PRIVATE) + PUBLIC)


def load_key(private: Path) -> rsa.RSAPrivateKey:
    """Raises `PackageError` for a key that others may read, or that is none."""
    try:
        if private.stat().st_mode & 0o077:
            raise PackageError(f"{private}: others may read this key; chmod 600 it.")
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise PackageError(f"{private}: not a private key without a password: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != BITS:
        raise PackageError(f"{private}: Dify verifies RSA keys of {BITS} bits.")
    return key


def signed(
    files: Mapping[str, bytes], key: rsa.RSAPrivateKey, time_s: int
) -> tuple[dict[str, bytes], bytes]:
    """The contents with the new last one, and the zip's comment."""
    whole = {**files, VERIFICATION: _VOUCHED}
    signature = key.sign(_digested(whole, time_s), padding.PKCS1v15(), SHA256())
    comment = {"signature": base64.b64encode(signature).decode(), "time": time_s}
    return whole, json.dumps(comment, separators=(",", ":")).encode()


def verify(path: Path, public: Path) -> None:
    """Raises `PackageError` unless this key signed these contents."""
    with zipfile.ZipFile(path) as opened:
        comment = opened.comment
    key = serialization.load_pem_public_key(public.read_bytes())
    if not isinstance(key, rsa.RSAPublicKey):
        raise PackageError(f"{public}: not an RSA key.")
    try:
        body = json.loads(comment)
        signature = base64.b64decode(body["signature"], validate=True)
        data = _digested(archive.read(path), int(body["time"]))
        key.verify(signature, data, padding.PKCS1v15(), SHA256())
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise PackageError(f"{path.name} is not signed.") from None
    except InvalidSignature:
        raise PackageError(f"{path.name} was not signed with {public.name}, or changed.") from None


def _digested(files: Mapping[str, bytes], time_s: int) -> bytes:
    digests = [hashlib.sha256(content).digest() for content in files.values()]
    return b"".join([*digests, str(time_s).encode()])
