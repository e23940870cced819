"""Thumbs: on disk when they come, in Dify when Dify takes them, in the name of whom the answer was for."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from tests.channel.desk import Desk
from tests.fakes.dify import FakeDify
from tests.waiting import wait_for
from tool_server.channel.feedback import Thumb, read
from tool_server.channel.ledger import stream_id
from tool_server.channel.schema import feedback, messages
from tool_server.database import Database


def bot(answer: str, kind: int = 1, **more: Any) -> str:
    return json.dumps({"id": answer, "type": kind, **more}, ensure_ascii=False)


def card(answer: str, key: str = "like") -> str:
    return json.dumps({"TaskId": answer, "EventKey": key, "CardType": "button_interaction"})


def answered(desk: Desk, question: str = "问", **more: Any) -> str:
    """An answered question; the id under which a thumb names it."""
    desk.say(question, **more)
    newest = sa.select(messages.c.stream_id).order_by(messages.c.id.desc()).limit(1)
    return str(desk.database.read(lambda db: db.scalar(newest)))


def rows(database: Database) -> list[Any]:
    return list(database.read(lambda db: db.execute(sa.select(feedback)).all()))


@pytest.mark.parametrize(
    ("data", "thumb"),
    [
        (bot("s", 1), Thumb("s", "like")),
        (
            bot("s", 2, content="太旧", inaccurate_reason_list=[2, 9]),
            Thumb("s", "dislike", "内容不完整；9；太旧"),
        ),
        (bot("s", 3), Thumb("s", "")),
        (card("s", "dislike"), Thumb("s", "dislike")),
        (bot("s", 4), None),
        (card("s", "other"), None),
        ("", None),
        ("[]", None),
        ("{}", None),
        ('{"id": "s", "type": "x"}', None),
    ],
)
def test_a_thumb_is_read_from_either_surface(data: str, thumb: Thumb | None) -> None:
    assert read(data) == thumb


def test_a_thumb_reaches_dify_with_its_reason(desk: Desk, dify: FakeDify) -> None:
    answer = answered(desk)
    data = bot(answer, 2, inaccurate_reason_list=[3])
    assert desk.say(kind="event", event="feedback", data=data) == []
    assert desk.asking.feedbacks.send_due() == 1
    given = dify.runs[0].feedback
    assert given == {"rating": "dislike", "user": "zhang", "content": "内容有错误"}
    assert [row.state for row in rows(desk.database)] == ["sent"]
    assert desk.asking.feedbacks.send_due() == 0


def test_a_cards_button_is_a_thumb(desk: Desk, dify: FakeDify) -> None:
    desk.say(kind="event", event="card", data=card(answered(desk)))
    desk.asking.feedbacks.send_due()
    assert dify.runs[0].feedback is not None


def test_a_thumb_that_came_while_dify_was_down_is_sent_when_it_is_back(
    desk: Desk, dify: FakeDify
) -> None:
    answer = answered(desk)
    dify.feedback_status = 503
    desk.say(kind="event", event="feedback", data=bot(answer))
    assert desk.asking.feedbacks.send_due() == 0
    (row,) = rows(desk.database)
    assert (row.state, row.attempts) == ("pending", 1)
    assert row.next_at > time.time()
    dify.feedback_status = 200
    desk.database.write(lambda db: db.execute(sa.update(feedback).values(next_at=0.0)))
    assert desk.asking.feedbacks.send_due() == 1
    assert dify.runs[0].feedback is not None


def test_two_workers_send_a_thumb_once(desk: Desk, dify: FakeDify) -> None:
    desk.say(kind="event", event="feedback", data=bot(answered(desk)))
    _, other = desk.worker("two")
    dify.feedback_s = 0.5
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(desk.asking.feedbacks.send_due)
        wait_for(lambda: dify.asked_feedback)
        assert other.feedbacks.send_due() == 0
        assert sending.result() == 1
    other.close()


def test_a_thumb_that_dify_refuses_for_good_is_not_tried_for_ever(
    desk: Desk, dify: FakeDify
) -> None:
    answer = answered(desk)
    dify.feedback_status = 400
    desk.say(kind="event", event="feedback", data=bot(answer))
    desk.asking.feedbacks.send_due()
    assert [row.state for row in rows(desk.database)] == ["failed"]


def test_the_newer_of_two_thumbs_counts(desk: Desk, dify: FakeDify) -> None:
    answer = answered(desk)
    desk.say(kind="event", event="feedback", data=bot(answer, 1))
    desk.say(kind="event", event="feedback", data=bot(answer, 3))
    desk.asking.feedbacks.send_due()
    assert dify.runs[0].feedback == {"rating": None, "user": "zhang", "content": None}
    assert len(rows(desk.database)) == 1


def test_a_stranger_gives_no_thumb_and_in_a_group_anybody_does(desk: Desk, dify: FakeDify) -> None:
    own = answered(desk)
    desk.say(kind="event", event="feedback", data=bot(own), user="li")
    assert rows(desk.database) == []
    shared = answered(desk, chat="g")
    desk.say(kind="event", event="feedback", data=bot(shared), user="li", chat="g")
    desk.asking.feedbacks.send_due()
    assert dify.runs[1].feedback == {"rating": "like", "user": "zhang", "content": None}


def test_a_thumb_for_nothing_known_is_passed_over(desk: Desk) -> None:
    assert desk.say(kind="event", event="feedback", data=bot(stream_id("unknown"))) == []
    assert desk.say(kind="event", event="feedback", data="no JSON") == []
    assert rows(desk.database) == []
