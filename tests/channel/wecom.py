"""The platform stand-in in this process, for tests of what calls its API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playground.serving import Server
from playground.wechat.__main__ import build, platform_app
from playground.wechat.platform import Platform
from tests.channel.conftest import AES_KEY

PLATFORM: dict[str, Any] = {
    "corp_id": "wwcorp",
    "agent_id": 1000002,
    "secret": "the-secret",
    "token": "thetoken",
    "encoding_aes_key": AES_KEY,
}


@contextmanager
def serve_platform(**changes: Any) -> Iterator[tuple[Platform, str]]:
    """The platform and its address."""
    platform = build(PLATFORM | changes)
    with Server(platform_app(platform)) as server:
        yield platform, server.url


def calls(platform: Platform, path: str) -> list[int]:
    """The errcodes of the calls of one route, oldest first."""
    return [call["errcode"] for call in platform.ledger.calls() if call["path"].endswith(path)]
