"""A worker is killed after a card was accepted and before it went out: it comes, and comes once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from playground.processes import Process, environment
from tests.channel.desk import Desk
from tests.fakes.dify import Run, Script
from tests.waiting import until
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel.schema import messages

pytestmark = pytest.mark.sqlite
CARD = {"title": "请假申请", "text": "12 天"}


@pytest.fixture
def client(desk: Desk) -> Iterator[FlaskClient]:
    app = create_app(desk.settings.model_copy(update={"knowledge_enabled": False}))
    yield app.test_client()
    app.extensions["channel"].close()


def start_worker(desk: Desk, log: Path) -> Process:
    environ = environment(
        SHENQIAO_DATA_DIR=str(desk.settings.data_dir),
        SHENQIAO_RUN_DIR=str(desk.settings.run_dir),
        SHENQIAO_MODEL_ENABLED="false",
        SHENQIAO_KNOWLEDGE_ENABLED="false",
        SHENQIAO_CHANNEL_WECOM_URL=desk.url,
    )
    return Process("worker", ("tool_server", "worker"), log=log, environ=environ)


def post(desk: Desk, client: FlaskClient, run: Run) -> dict[str, object]:
    """What the app's tool does in this run."""
    body = {"ticket": run.inputs["ticket"], "app": "app", "conversation": run.conversation}
    key = Keys.load(desk.settings).secret("knowledge")
    headers = {"Authorization": f"Bearer {key}"}
    answer = client.post("/channel/reply", json={**body, "card": CARD}, headers=headers)
    assert answer.json is not None
    return dict(answer.json)


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_card_that_was_accepted_outlives_a_killed_worker_and_is_shown_once(
    desk: Desk, client: FlaskClient, tmp_path: Path
) -> None:
    desk.dify.default = Script("已为您准备好。", seconds=3600)
    number = desk.claim("我想请假")
    worker = start_worker(desk, tmp_path / "one.log")
    (first,) = until(lambda: desk.dify.runs)
    assert post(desk, client, first) == {"kind": "card", "again": False}
    os.kill(worker.pid, signal.SIGKILL)
    worker.stop()
    desk.dify.default = Script("已为您准备好。", seconds=0.5)
    worker = start_worker(desk, tmp_path / "two.log")
    try:
        second = until(lambda: desk.dify.runs[1:])[0]
        assert post(desk, client, second) == {"kind": "card", "again": True}
        state = sa.select(messages.c.state).where(messages.c.id == number)
        until(lambda: desk.database.read(lambda db: db.scalar(state)) == "done")
    finally:
        worker.stop()
    seen = [entry["text"] for entry in desk.platform.ledger.seen("zhang")]
    assert seen == ["已为您准备好。", "请假申请\n\n12 天"]
