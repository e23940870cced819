"""Somebody who found the callback URL, over real HTTP: nothing is taken, nothing breaks, others are served."""

import os
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlencode, urlsplit

import pytest
import sqlalchemy as sa

from playground.stage import Stage
from playground.wechat.attack import KINDS
from tests.channel.forge import Forger
from tests.fakes.dify import FakeDify, Script
from tests.reliability.waiting import USERS, answers, settle_down
from tool_server.channel.schema import messages

SOAK = os.environ.get("TEST_SOAK", "") not in ("", "0")
REQUESTS = 5_000 if SOAK else 300
# What is refused for its size alone, before anybody looks into it; a long line by Gunicorn itself.
BY_SIZE = {"oversized": 413, "chunked_oversized": 413, "huge_query": 414}


def rows(stage: Stage) -> int:
    """Messages in the ledger."""
    engine = sa.create_engine(f"sqlite:///{stage.data_dir / 'shenqiao.db'}")
    with engine.connect() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(messages)) or 0
    engine.dispose()
    return count


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "replayed_nonce"])
def test_a_forgery_is_refused_without_a_word_and_leaves_nothing(
    stage: Stage, dify: FakeDify, kind: str
) -> None:
    before = rows(stage)
    answer = stage.attack(kind)
    assert answer["status"] == BY_SIZE.get(kind, 403)
    assert "Traceback" not in answer["body"]
    assert rows(stage) == before
    assert dify.runs == []


def test_all_forgeries_read_the_same(stage: Stage) -> None:
    kinds = [kind for kind in KINDS if kind not in (*BY_SIZE, "slow")]
    assert len({stage.attack(kind)["body"] for kind in kinds}) == 1


def test_a_second_message_under_a_nonce_is_refused(stage: Stage) -> None:
    before = rows(stage)
    assert stage.attack("replayed_nonce")["status"] == 403
    assert rows(stage) == before + 1


def test_forged_requests_over_the_wire_are_all_refused(stage: Stage, dify: FakeDify) -> None:
    seed = int(os.environ.get("TEST_SEED", time.time()))
    secrets = stage.secrets
    inner = b"<xml><ToUserName>x</ToUserName></xml>"
    forger = Forger(seed, secrets["token"], secrets["encoding_aes_key"], inner)
    before = rows(stage)
    for _ in range(REQUESTS):
        forged = forger.next()
        query = urlencode(forged.query, errors="replace")[:60_000]  # more is no URL to our client
        answer = stage.http.post(f"{stage.callback_url}?{query}", content=forged.body)
        assert answer.status_code in (400, 403, 413, 414), (seed, forged)
    print(f"seed {seed}: {REQUESTS} forged requests")  # noqa: T201
    assert rows(stage) == before
    assert dify.runs == []


def test_bytes_that_are_no_http_hurt_nobody(stage: Stage) -> None:
    chance = random.Random(7)
    parts = urlsplit(stage.callback_url)
    for _ in range(50):
        with socket.create_connection((parts.hostname, parts.port), 5) as raw:
            raw.sendall(b"POST " + chance.randbytes(60) + b"\r\n\r\n")
    user = next(USERS)
    settle_down(stage, user, stage.send(user, "noch da?"))
    assert answers(stage, user) == ["答：noch da?"]


def test_bodies_that_never_come_do_not_hold_up_others(stage: Stage) -> None:
    parts = urlsplit(stage.callback_url)
    head = f"POST {parts.path}?nonce=n HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n<xml>"
    with ExitStack() as held:
        for _ in range(20):
            raw = held.enter_context(socket.create_connection((parts.hostname, parts.port), 5))
            raw.sendall(head.encode())
        user = next(USERS)
        settle_down(stage, user, stage.send(user, "und jetzt?"))
        assert answers(stage, user) == ["答：und jetzt?"]


def test_one_nonce_under_twenty_deliveries_at_once_is_one_message(
    stage: Stage, dify: FakeDify
) -> None:
    """The same bytes, as a platform sends them that does not encrypt anew."""
    sent: list[int] = []
    barrier = threading.Barrier(20)
    secrets = stage.secrets
    forger = Forger(1, secrets["token"], secrets["encoding_aes_key"], b"")
    query, body = forger.right(
        f"<xml><ToUserName>{secrets['corp_id']}</ToUserName><FromUserName>li</FromUserName>"
        f"<CreateTime>1</CreateTime><MsgType>text</MsgType><Content>zwanzig</Content>"
        f"<MsgId>20</MsgId><AgentID>{secrets['agent_id']}</AgentID></xml>",
        secrets["corp_id"],
    )

    def deliver(_: int) -> None:
        barrier.wait(90)
        sent.append(stage.http.post(stage.callback_url, params=query, content=body).status_code)

    before = rows(stage)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(deliver, range(20)))
    assert sent == [200] * 20
    assert rows(stage) == before + 1


def test_no_log_line_holds_a_text_a_query_or_a_secret(stage: Stage, dify: FakeDify) -> None:
    """The canaries go in by every way that a callback has; the log is the whole of this module's stage."""
    user, question = next(USERS), "Kanarienvogel-7f3a fragt"
    dify.scripts[question] = Script(text="Kanarienvogel-9c1e antwortet")
    settle_down(stage, user, stage.send(user, question))
    query = {"msg_signature": "canary-sig", "nonce": "canary-nonce", "timestamp": "1"}
    stage.http.get(stage.callback_url, params={**query, "echostr": "canary-echo"})
    stage.http.post(stage.callback_url, params=query, content=b"<xml>canary-body</xml>")
    stage.http.post(f"{stage.callback_url}?{'canary-long' * 1000}", content=b"x")
    text = log_of(stage)
    for canary in ("Kanarienvogel", "canary-", *secret_values(stage)):
        assert canary not in text
    assert "msg_signature=" not in text
    assert "callback.refused" in text


def log_of(stage: Stage) -> str:
    """Everything that web and worker have written so far."""
    return (stage.plan.folder / "tool-server.log").read_text(errors="replace")


def secret_values(stage: Stage) -> list[str]:
    names = ("secret", "token", "encoding_aes_key")
    return [str(stage.secrets[name]) for name in names] + [stage.plan.dify_key]
