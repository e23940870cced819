"""The card below an answer: sent by the surface, pressed by a person, kept as a thumb, changed once."""

import json
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from playground.wechat.__main__ import build
from playground.wechat.faults import Fault
from tests.channel.conftest import make_account
from tests.channel.desk import Desk
from tests.channel.wecom import PLATFORM
from tests.fakes.dify import FakeDify, Script
from tool_server.channel.schema import feedback
from tool_server.channel.surfaces import wecom_app
from tool_server.database import Database
from tool_server.settings import Settings


@pytest.fixture
def desk(settings: Settings, database: Database) -> Iterator[Desk]:
    with FakeDify() as dify:
        account = make_account(dify_url=dify.url, feedback=True)
        desk = Desk(settings, database, dify, build(PLATFORM), account)
        yield desk
        desk.close()


def answered(desk: Desk) -> str:
    """A question that is answered and pushed; the card's task."""
    desk.dify.default = Script("12 天")
    desk.claim("年假有几天？")
    job = desk.lease()
    composed = desk.answer(job)
    assert composed is not None
    bodies = wecom_app.bodies(desk.account, job.address, composed.contents, message_id=job.id)
    for body in bodies:
        wecom_app.send(desk.api, desk.account, body)
    return str(json.loads(bodies[-1])["template_card"]["task_id"])


def press(desk: Desk, task: str, key: str) -> None:
    fields = desk.platform.api.contents.cards.press("zhang", task, key)
    desk.claim(kind="event", event="card", data=json.dumps(dict(fields)))
    desk.answer(desk.lease())


def ratings(database: Database) -> list[str]:
    return list(database.read(lambda db: db.scalars(sa.select(feedback.c.rating)).all()))


def test_a_person_sees_the_answer_and_below_it_two_buttons(desk: Desk) -> None:
    answered(desk)
    seen = [entry["text"] for entry in desk.platform.ledger.seen("zhang")]
    assert seen == ["12 天", "这个回答有帮助吗？ [👍 有帮助] [👎 没帮助]"]


def test_a_press_is_kept_and_the_card_says_thanks(desk: Desk, database: Database) -> None:
    press(desk, answered(desk), "like")
    assert ratings(database) == ["like"]
    assert desk.platform.api.contents.cards.changed == [("zhang", "已收到，谢谢")]


def test_a_card_that_cannot_be_changed_costs_no_thumb(desk: Desk, database: Database) -> None:
    task = answered(desk)
    fault = Fault("message/update_template_card", "errcode", times=9, code=42045)
    desk.platform.api.script(fault)
    press(desk, task, "dislike")
    assert ratings(database) == ["dislike"]
    assert desk.platform.api.contents.cards.changed == []
