"""A platform stand-in in this process, and a small product that answers its callbacks."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from flask import Flask, Response, request

from playground.serving import Server
from playground.wechat.__main__ import build
from playground.wechat.crypto import Secrets, decrypt, encrypt, signature
from playground.wechat.message import build as build_xml
from playground.wechat.routes import Platform, api_blueprint, control_blueprint

SECRETS = Secrets("thetoken", "R/azTixs1CVSRo/fDJP5i4DORZC8RTls1fExFZ3+zSc", "wwcorp")
CONFIG: dict[str, Any] = {
    "corp_id": "wwcorp",
    "agent_id": 7,
    "secret": "s3cret",
    "token": SECRETS.token,
    "encoding_aes_key": SECRETS.aes_key,
    "visible": ["zhang", "li"],
    "gap_s": 0.05,
}


@dataclass
class Product:
    """Answers callbacks as a test says; remembers what it was asked."""

    answer: Callable[[str], Response] = field(default=lambda _xml: Response(""))
    received: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)

    def reply(self, text: str, *, to: str = "zhang", secrets: Secrets = SECRETS) -> Response:
        """A right passive reply."""
        fields = {"ToUserName": to, "FromUserName": "wwcorp", "MsgType": "text", "Content": text}
        encrypted = encrypt(secrets, build_xml(fields))
        outer = {
            "Encrypt": encrypted,
            "MsgSignature": signature(secrets, "1", "n", encrypted),
            "TimeStamp": "1",
            "Nonce": "n",
        }
        return Response(build_xml(outer), mimetype="text/xml")

    def app(self) -> Flask:
        app = Flask("product")

        @app.get("/callback")
        def check() -> str:
            return decrypt(SECRETS, request.args["echostr"])

        @app.post("/callback")
        def callback() -> Response:
            self.queries.append(request.args.to_dict())
            body = request.get_data(as_text=True)
            try:
                encrypted = body.split("<Encrypt>")[1].split("</Encrypt>")[0]
                self.received.append(decrypt(SECRETS, encrypted))
            except (IndexError, ValueError):
                return Response(status=403)
            return self.answer(self.received[-1])

        return app


@pytest.fixture
def product() -> Product:
    return Product()


@pytest.fixture
def platform(product: Product) -> Iterator[Platform]:
    platform = build(CONFIG)
    with Server(product.app()) as server:
        assert platform.courier.check_address(f"{server.url}/callback")["ok"]
        yield platform
    platform.courier.http.close()


@pytest.fixture
def api(platform: Platform) -> Iterator[httpx.Client]:
    app = Flask("platform")
    app.register_blueprint(api_blueprint(platform))
    app.register_blueprint(control_blueprint(platform))
    with (
        Server(app) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=20) as client,
    ):
        yield client


def wait_for(condition: Callable[[], Any], timeout_s: float = 12) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
