"""A platform stand-in in this process, and a small product that answers its callbacks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from flask import Flask, Response, request

from playground.serving import Server
from playground.wechat.__main__ import build, platform_app
from playground.wechat.crypto import Secrets, decrypt, encrypt, signature
from playground.wechat.platform import Platform
from playground.wechat.wecom_app import build as build_xml

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
Make = Callable[..., Platform]


@dataclass
class Product:
    """Answers callbacks as a test says; remembers what it was asked."""

    answer: Callable[[str], Response] = field(default=lambda _xml: Response(""))
    received: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    address_check: Callable[[str], Response | str] = field(default=lambda echo: echo)
    url: str = ""

    def reply(self, text: str, *, secrets: Secrets = SECRETS, **changed: str) -> Response:
        """A right passive reply to zhang, but for what `changed` says."""
        fields = {
            "ToUserName": "zhang",
            "FromUserName": "wwcorp",
            "CreateTime": "1700000000",
            "MsgType": "text",
            "Content": text,
            **changed,
        }
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
        def check() -> Response | str:
            return self.address_check(decrypt(SECRETS, request.args["echostr"]))

        @app.post("/callback")
        def callback() -> Response:
            self.queries.append(request.args.to_dict())
            self.bodies.append(request.get_data(as_text=True))
            try:
                encrypted = self.bodies[-1].split("<Encrypt>")[1].split("</Encrypt>")[0]
                self.received.append(decrypt(SECRETS, encrypted))
            except Exception:
                return Response(status=403)
            return self.answer(self.received[-1])

        return app


@pytest.fixture
def product() -> Iterator[Product]:
    product = Product()
    with Server(product.app()) as server:
        product.url = f"{server.url}/callback"
        yield product


@pytest.fixture
def make(product: Product) -> Make:
    """Makes a platform whose limits and settings differ from the table's, with its callback URL set."""

    def make(**changed: Any) -> Platform:
        platform = build({**CONFIG, **changed})
        platform.courier.callback_url = product.url
        return platform

    return make


@pytest.fixture
def platform(make: Make) -> Platform:
    return make()


@pytest.fixture
def api(platform: Platform) -> Iterator[httpx.Client]:
    with (
        Server(platform_app(platform)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=20) as client,
    ):
        yield client


def texts(platform: Platform, user: str = "zhang") -> list[str]:
    """What a person's phone has shown."""
    return [entry["text"] for entry in platform.ledger.seen(user)]


def token(api: httpx.Client) -> str:
    answer = api.get("/cgi-bin/gettoken", params={"corpid": "wwcorp", "corpsecret": "s3cret"})
    return str(answer.json()["access_token"])


def push(api: httpx.Client, text: str, *, access: str = "", **more: object) -> dict[str, Any]:
    """message/send, as a client does it."""
    body = {"touser": "zhang", "msgtype": "text", "agentid": 7, "text": {"content": text}, **more}
    query = {"access_token": access or token(api)}
    return dict(api.post("/cgi-bin/message/send", params=query, json=body).json())
