"""Forged callbacks by the thousand: none is taken, none is a fault of ours, nothing is left behind."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from tests.channel.conftest import AES_KEY, make_account, make_kf
from tests.channel.forge import Forger
from tool_server.app import create_app
from tool_server.channel.schema import cursors, messages, nonces
from tool_server.channel.wxcrypt import WxCrypt
from tool_server.migrate import migrate
from tool_server.settings import Settings

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
REQUESTS = 100_000 if SOAK else 2_000
APP = (
    "<xml><ToUserName>wwcorp</ToUserName><FromUserName>li</FromUserName><CreateTime>1</CreateTime>"
    "<MsgType>text</MsgType><Content>Hallo</Content><MsgId>1</MsgId><AgentID>1000002</AgentID></xml>"
)
KF = (
    "<xml><ToUserName>wwcorp</ToUserName><CreateTime>1</CreateTime><MsgType>event</MsgType>"
    "<Event>kf_msg_or_event</Event><Token>T</Token><OpenKfId>wk1</OpenKfId></xml>"
)
SURFACES = {"app": APP, "kf": KF}


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    migrate(settings)
    app = create_app(settings.model_copy(update={"channel_wait_s": 0.0}))
    services = app.extensions["channel"]
    services.accounts.save("app", make_account())
    services.accounts.save("kf", make_kf())
    yield app.test_client()
    services.close()


def rows(client: FlaskClient) -> dict[str, int]:
    database = client.application.extensions["channel"].database
    tables = (messages, cursors, nonces)
    return {
        table.name: database.read(
            lambda db, t=table: db.scalar(sa.select(sa.func.count()).select_from(t))
        )
        for table in tables
    }


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SURFACES)
def test_no_forged_callback_is_taken_or_breaks_anything(client: FlaskClient, name: str) -> None:
    seed = int(os.environ.get("TEST_SEED", time.time()))
    forger = Forger(seed, "thetoken", AES_KEY, SURFACES[name].encode())
    statuses: Counter[int] = Counter()
    started = time.monotonic()
    for _ in range(REQUESTS // len(SURFACES)):
        forged = forger.next()
        query = urlencode(forged.query, errors="replace")
        answer = client.post(f"/channel/{name}/callback", query_string=query, data=forged.body)
        statuses[answer.status_code] += 1
        assert answer.status_code in (403, 413), (seed, forged)
        assert b"Traceback" not in answer.data
    seconds = time.monotonic() - started
    print(f"seed {seed}: {name} {dict(statuses)} in {seconds:.0f} s")  # noqa: T201
    assert rows(client) == {"messages": 0, "cursors": 0, "nonces": 0}
    assert statuses[403] > REQUESTS // len(SURFACES) // 2


@pytest.mark.parametrize(("name", "table"), [("app", "messages"), ("kf", "cursors")])
def test_what_is_forged_would_be_taken_if_it_were_right(
    client: FlaskClient, name: str, table: str
) -> None:
    now = str(int(time.time()))
    sealed = WxCrypt("thetoken", AES_KEY, "wwcorp").seal(SURFACES[name], timestamp=now, nonce="n")
    query = {"msg_signature": sealed.signature, "timestamp": now, "nonce": "n"}
    body = f"<xml><Encrypt>{sealed.encrypt}</Encrypt></xml>"
    answer = client.post(f"/channel/{name}/callback", query_string=query, data=body)
    assert answer.status_code == 200
    assert rows(client)[table] == 1


def test_all_refusals_read_alike(client: FlaskClient) -> None:
    forger = Forger(1, "thetoken", AES_KEY, APP.encode())
    answers = set()
    for _ in range(200):
        forged = forger.next()
        query = urlencode(forged.query, errors="replace")
        answer = client.post("/channel/app/callback", query_string=query, data=forged.body)
        answers.add((answer.status_code, answer.data, tuple(sorted(answer.headers.items()))))
    unknown = client.post("/channel/nobody/callback", data=b"<xml/>")
    answers.add((unknown.status_code, unknown.data, tuple(sorted(unknown.headers.items()))))
    assert len(answers) == 1
