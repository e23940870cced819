"""The platform's media: what it takes, how long it holds it, and the encrypted addresses of the bots."""

import base64
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from playground.wechat.limits import MediaLimits
from playground.wechat.media import Media, new_key
from playground.wechat.platform import Platform
from tests.playground.wechat.conftest import Product, token
from tests.waiting import wait_for

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


def upload(api: httpx.Client, kind: str, data: bytes, name: str = "a.png") -> dict[str, Any]:
    query = {"access_token": token(api), "type": kind}
    answer = api.post("/cgi-bin/media/upload", params=query, files={"media": (name, data)})
    return dict(answer.json())


def get(api: httpx.Client, media_id: str) -> httpx.Response:
    query = {"access_token": token(api), "media_id": media_id}
    return api.get("/cgi-bin/media/get", params=query)


def test_what_is_uploaded_can_be_fetched_with_its_name(api: httpx.Client) -> None:
    held = upload(api, "image", PNG, "图.png")
    answer = get(api, held["media_id"])
    assert answer.content == PNG
    assert "%E5%9B%BE.png" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("picture", PNG, 40004),
        ("image", b"GIF89a" + b"x" * 99, 40005),
        ("voice", b"ID3" + b"x" * 99, 40005),
        ("video", PNG, 40005),
        ("file", b"12345", 40006),
        ("file", b"", 44001),
        ("voice", b"#!AMR\n" + b"x" * 2 * 1024 * 1024, 45001),
    ],
)
def test_what_the_platform_does_not_take_is_named_by_its_code(
    api: httpx.Client, kind: str, data: bytes, code: int
) -> None:
    assert upload(api, kind, data)["errcode"] == code


def test_a_media_id_ends_after_its_life() -> None:
    now = [1000.0]
    media = Media(MediaLimits(), clock=lambda: now[0])
    media_id = media.add("image", "a.png", PNG)
    path = media.seal(media_id, new_key())
    now[0] += 301
    assert media.get(path.removeprefix("/media/")) is None
    assert media.get(media_id) is not None
    now[0] += 3 * 86400
    assert media.get(media_id) is None


def test_an_unknown_media_id_or_a_bad_token_is_an_error(api: httpx.Client) -> None:
    assert get(api, "nothing").json()["errcode"] == 40007
    answer = api.get("/cgi-bin/media/get", params={"access_token": "bad", "media_id": "x"})
    assert answer.json()["errcode"] == 40014


@pytest.mark.parametrize("length", range(32))
def test_a_bots_address_holds_the_bytes_encrypted_and_padded_to_32(
    platform: Platform, api: httpx.Client, length: int
) -> None:
    data, key = PNG + b"x" * length, new_key()
    path = platform.media.seal(platform.media.add("image", "", data), key)
    sealed = api.get(path).content
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    opened = decryptor.update(sealed) + decryptor.finalize()
    assert len(opened) % 32 == 0
    assert opened[: -opened[-1]] == data


def test_a_media_id_is_no_address_and_an_address_no_media_id(
    platform: Platform, api: httpx.Client
) -> None:
    media_id = platform.media.add("image", "", PNG)
    path = platform.media.seal(media_id, new_key())
    assert api.get(f"/media/{media_id}").status_code == 404
    assert get(api, path.removeprefix("/media/")).json()["errcode"] == 40007


def test_a_picture_that_a_person_sends_can_be_fetched(
    platform: Platform, api: httpx.Client, product: Product
) -> None:
    body = {
        "user": "zhang",
        "kind": "image",
        "file": base64.b64encode(PNG).decode(),
        "file_name": "a.png",
    }
    assert api.post("/playground/messages", json=body).status_code == 200
    wait_for(lambda: product.received)
    media_id = product.received[0].split("<MediaId>")[1].split("<")[0]
    assert get(api, media_id).content == PNG
