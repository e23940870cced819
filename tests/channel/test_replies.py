"""What a tool sends beside the answer: to the asker alone, once, behind the answer, within every quota."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from PIL import Image
from prometheus_client import Counter
from werkzeug.test import TestResponse

from playground.wechat.faults import Fault
from tests.channel.conftest import AES_KEY, make_account, make_kf
from tests.channel.desk import Desk
from tests.channel.forge import Forger
from tests.channel.wecom import calls
from tests.fakes.dify import Script
from tool_server.access import Asker
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel import tickets
from tool_server.channel.account import Account, parse_account
from tool_server.channel.job import Job
from tool_server.channel.letters import send_again
from tool_server.channel.push import Pusher
from tool_server.channel.replies import Kept, Presented, Replies, Wanted
from tool_server.channel.schema import deliveries, messages
from tool_server.channel.surface import Callback, Incoming, Text
from tool_server.channel.surfaces import SURFACES, wecom_app
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.errors import BadRequest
from tool_server.settings import Settings

CARD = {"title": "请假申请", "text": "12 天，明天开始", "link": "", "buttons": []}
LINK = "https://oa.corp.cn/leave"
KF_HANDLE = json.dumps({"open_kfid": "wk1", "msgid": "m", "sent_at": 4000000000})


@dataclass
class Office:
    """A worker's desk, and the tool server that the app's tools call."""

    desk: Desk
    client: FlaskClient
    key: str

    def ask(self, text: str = "我想请假", user: str = "zhang") -> Job:
        """A message whose answer is being made."""
        self.desk.claim(text, user=user)
        return self.desk.lease()

    def post(self, job: Job, card: dict[str, Any], **fields: Any) -> TestResponse:
        body = {"ticket": job.ticket, "app": "app", "conversation": "c", "card": card, **fields}
        return self.client.post("/channel/reply", json=body, headers=self._headers)

    def post_file(self, job: Job, name: str, data: bytes, **fields: str) -> TestResponse:
        form = {"ticket": job.ticket, "app": "app", "conversation": "c", **fields}
        return self.client.post(
            "/channel/reply",
            data={**form, "file": (io.BytesIO(data), name)},
            headers=self._headers,
        )

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def finish(self, job: Job, work: Work | None = None, answer: str = "已为您准备好。") -> str:
        """The app has answered: settle and push, as a worker does; the mode."""
        work = work or self.desk.work
        self.desk.dify.default = Script(answer)
        account = self.desk.accounts.get("acc")
        assert account is not None
        surface = SURFACES[account.surface]
        composed = self.desk.asking.composer.compose(job, account, surface.LIMITS, self.desk.screen)
        assert composed is not None
        (text, *_) = [c.text for c in composed.contents if isinstance(c, Text)]
        reply = None if surface.LIMITS.first == "push" else text.encode()
        bodies = surface.bodies(account, job.address, composed.contents, message_id=job.id)
        mode = work.settle(job, answer, bodies=bodies, reply=reply, dify="")
        if mode == "push":
            self.push(job, account, work)
        return mode

    def push(self, job: Job, account: Account, work: Work | None = None) -> None:
        sends = Counter("sends", "s", ["code"], registry=None)
        Pusher(work or self.desk.work, self.desk.api, sends, attempts=3, apis={}).push(job, account)

    def seen(self, user: str = "zhang") -> list[str]:
        return [entry["text"] for entry in self.desk.platform.ledger.seen(user)]

    def use(self, account: Account) -> None:
        """From now on messages come by this account."""
        self.desk.account = account
        self.desk.accounts.save("acc", account)


@pytest.fixture
def office(desk: Desk) -> Iterator[Office]:
    changed = {"knowledge_enabled": False, "channel_link_hosts": "oa.corp.cn"}
    settings = desk.settings.model_copy(update=changed)
    app = create_app(settings)
    yield Office(desk, app.test_client(), Keys.load(settings).secret("knowledge"))
    app.extensions["channel"].close()


def message_of(response: TestResponse) -> str:
    assert response.json is not None
    return str(response.json["error"]["message"])


def rows(database: Database) -> list[tuple[int, str]]:
    found = sa.select(deliveries.c.ordinal, deliveries.c.state).order_by(deliveries.c.ordinal)
    return [(row.ordinal, row.state) for row in database.read(lambda db: db.execute(found).all())]


def test_a_card_comes_behind_the_answer(office: Office) -> None:
    job = office.ask()
    response = office.post(job, {**CARD, "link": LINK})
    assert (response.status_code, response.json) == (200, {"kind": "card", "again": False})
    assert office.seen() == []
    office.finish(job)
    assert office.seen() == ["已为您准备好。", f"请假申请\n12 天，明天开始 <{LINK}>"]


def test_the_same_call_again_sends_nothing_twice(office: Office) -> None:
    job = office.ask()
    answers = [office.post(job, CARD).json for _ in range(3)]
    assert answers == [{"kind": "card", "again": again} for again in (False, True, True)]
    office.finish(job)
    assert office.post(job, CARD).json == {"kind": "card", "again": True}
    assert office.seen() == ["已为您准备好。", "请假申请\n\n12 天，明天开始"]


def test_a_card_outlives_the_worker_that_was_at_its_message(
    office: Office, database: Database
) -> None:
    office.post(office.ask(), CARD)
    office.desk.work.take_from("one")  # as after its death
    other, _ = office.desk.worker("two")
    job = office.desk.lease(other)
    assert office.post(job, CARD).json == {"kind": "card", "again": True}  # the run made again
    office.finish(job, other)
    assert len(office.seen()) == 2
    assert rows(database) == [(1, "sent"), (1001, "sent")]


def test_a_picture_goes_out_as_one(office: Office) -> None:
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "PNG")
    job = office.ask()
    assert office.post_file(job, "图 1.png", out.getvalue()).json == {
        "kind": "file",
        "again": False,
    }
    assert office.post_file(job, "图 1.png", out.getvalue()).json == {"kind": "file", "again": True}
    office.finish(job)
    assert office.seen() == ["已为您准备好。", "[image] 图 1.png"]
    assert calls(office.desk.platform, "/media/upload") == [0]


def test_a_file_is_what_its_content_says(office: Office) -> None:
    job = office.ask()
    office.post_file(job, "假条.png", b"%PDF-1.7 something")
    refused = office.post_file(job, "a.pdf", b"MZ\x90\x00 something")
    assert refused.status_code == 400
    assert message_of(refused).startswith("file: its content is of no known kind")
    office.finish(job)
    assert office.seen()[1:] == ["[file] 假条.pdf"]


def test_a_card_keeps_an_answer_from_being_a_passive_reply(office: Office) -> None:
    now_waits = 4000000000.0
    name = Incoming("k", "k", "zhang", "text", "我想请假", 1)
    office.desk.ledger.claim("acc", name, wait_until=now_waits)
    job = office.desk.lease()
    office.post(job, CARD)
    assert office.finish(job) == "push"
    assert len(office.seen()) == 2


@pytest.mark.parametrize(
    "where",
    [
        {"ticket": "unknown"},
        {"app": "another"},
        {"conversation": "another"},
    ],
)
def test_a_ticket_that_is_not_good_here_sends_nothing(
    office: Office, database: Database, where: dict[str, str]
) -> None:
    job = office.ask()
    tickets.resolve(database, job.ticket, "app", "c")
    refused = office.post(job, CARD, **where)
    assert refused.status_code == 400
    assert message_of(refused).startswith("ticket: it is unknown, too old, or was used elsewhere")
    assert rows(database) == []


def test_a_ticket_whose_time_is_over_sends_nothing(office: Office, database: Database) -> None:
    job = office.ask()
    database.write(lambda db: tickets.extend(db, [job.ticket], 1.0))
    assert office.post(job, CARD).status_code == 400
    assert rows(database) == []


def test_no_field_names_another_receiver(office: Office) -> None:
    job = office.ask(user="li")
    assert office.post(job, CARD, user="zhang").status_code == 400
    assert office.post(job, {**CARD, "touser": "zhang"}).status_code == 400
    office.post(job, CARD)
    office.finish(job)
    assert len(office.seen("li")) == 2
    assert office.seen("zhang") == []


def test_a_reply_that_comes_after_the_answer_is_refused(office: Office) -> None:
    job = office.ask()
    office.finish(job)
    refused = office.post(job, CARD)
    assert refused.status_code == 400
    assert "on its way already" in message_of(refused)


def test_a_stopped_message_takes_no_reply(office: Office, database: Database) -> None:
    job = office.ask()
    stop = sa.update(messages).where(messages.c.id == job.id).values(stopped_at=1.0)
    database.write(lambda db: db.execute(stop))
    assert office.post(job, CARD).status_code == 400


def test_a_reply_too_many_is_refused(office: Office) -> None:
    job = office.ask()
    statuses = [office.post(job, {**CARD, "title": f"第 {n}"}).status_code for n in range(4)]
    assert statuses == [200, 200, 200, 400]


def test_answer_and_replies_together_keep_to_the_surface_s_quota(office: Office) -> None:
    office.use(make_kf(dify_url=office.desk.dify.url))
    incoming = Incoming("k", "k", "wm", "text", "我想请假", 1, handle=KF_HANDLE)
    office.desk.ledger.claim("acc", incoming, wait_until=0.0)
    job = office.desk.lease()
    for number in range(3):
        office.post(job, {**CARD, "title": f"第 {number}"})
    office.desk.dify.default = Script("员工每年享有十二天带薪年假。" * 400)
    account = office.desk.account
    limits = SURFACES["wecom_kf"].LIMITS
    composed = office.desk.asking.composer.compose(job, account, limits, office.desk.screen)
    assert composed is not None
    assert len(composed.contents) == limits.pieces - 3


@pytest.mark.parametrize(
    ("surface", "card", "file"),
    [
        ("wecom_bot", "AI bots by webhook show one text", "AI bots by webhook show one text"),
        ("wecom_bot_socket", "", "AI bots take cards from this tool, not files"),
    ],
)
def test_what_a_surface_cannot_show_is_refused_with_what_it_can(
    office: Office, surface: str, card: str, file: str
) -> None:
    fields = {"surface": surface, "dify_url": office.desk.dify.url, "dify_key": "app-test"}
    if surface == "wecom_bot":
        fields |= {name: getattr(make_account(), name) for name in ("token", "encoding_aes_key")}
    else:
        fields |= {"bot_id": "bot", "secret": "s"}
    office.use(parse_account(fields))
    job = office.ask()
    answered = office.post(job, CARD)
    assert answered.status_code == (400 if card else 200)
    assert card in answered.text
    assert file in message_of(office.post_file(job, "a.pdf", b"%PDF-1.7 something"))


@pytest.mark.parametrize(
    ("card", "place"),
    [
        ({"title": ""}, "card.title"),
        ({"title": "长" * 43}, "card.title: Value error, has 129 bytes of UTF-8, 128 are shown"),
        ({"text": "x" * 513}, "card.text"),
        ({"buttons": ["a"] * 7}, "card.buttons"),
        ({"buttons": ["a", ""]}, "card.buttons.1"),
        ({"link": "https://evil.example/x"}, "card.link: it leads to no source"),
        ({"link": "javascript:alert(1)"}, "card.link"),
        ({"other": 1}, "card.other"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_the_name_of_its_field(
    office: Office, card: dict[str, Any], place: str
) -> None:
    refused = office.post(office.ask(), {**CARD, **card})
    assert refused.status_code == 400
    assert message_of(refused).startswith(place)


def test_a_link_may_lead_to_a_document_that_this_person_may_see(office: Office) -> None:
    desk, source = office.desk, "https://kb.corp.cn/leave"

    def sees(asker: Asker, url: str) -> bool:
        return (asker.user, url) == ("zhang", source)

    replies = Replies(desk.settings, desk.database, desk.accounts, desk.api, sees)
    mine, theirs = (Presented(office.ask(user=user).ticket, "app", "c") for user in ("zhang", "li"))
    wanted = Wanted("年假", "", source, ())
    assert replies.card(mine, wanted) == Kept("card", False)
    with pytest.raises(BadRequest, match="no source that this person may see"):
        replies.card(theirs, wanted)


def test_an_address_in_the_text_of_a_card_is_left_out(office: Office) -> None:
    job = office.ask()
    office.post(job, {**CARD, "text": "看 https://evil.example/x 和 " + LINK})
    office.finish(job)
    assert office.seen()[1] == f"请假申请\n\n看 （链接已省略） 和 {LINK}"


def test_a_button_asks_its_question(office: Office, database: Database) -> None:
    job = office.ask()
    office.post(job, {**CARD, "buttons": ["还剩几天？", "找谁批？"]})
    office.finish(job)
    assert office.seen()[1] == "请假申请 [还剩几天？] [找谁批？]"
    cards = office.desk.platform.api.contents.cards
    fields = dict(cards.press("zhang", task_of(database), "ask:还剩几天？"))
    fields |= {"FromUserName": "zhang", "CreateTime": "1", "MsgType": "event", "AgentID": "7"}
    fields |= {"ToUserName": "wwcorp", "Event": "template_card_event"}
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    query, body = Forger(1, "thetoken", AES_KEY, b"").right(f"<xml>{inner}</xml>", "wwcorp")
    pressed = wecom_app.decode(
        office.desk.account, Callback(query, body), window_s=600, now=time.time()
    )
    assert isinstance(pressed, Incoming)
    assert (pressed.event, pressed.text) == ("click", "还剩几天？")


def task_of(database: Database) -> str:
    """The id of the card that was sent."""
    found = sa.select(deliveries.c.body).where(deliveries.c.reply != "")
    body = json.loads(str(database.read(lambda db: db.scalar(found))))
    return str(body["template_card"]["task_id"])


def test_a_dead_letter_whose_card_alone_failed_sends_the_card_alone(
    office: Office, database: Database
) -> None:
    job = office.ask()
    office.post(job, CARD)
    office.desk.platform.api.script(Fault("message/send", "errcode", times=1, skip=1, code=40058))
    office.finish(job)
    assert office.seen()[0] == "已为您准备好。"
    send_again(database, "acc", office_platform_id(database, job))
    again = office.desk.lease()
    office.push(again, office.desk.account)
    assert office.seen()[-1] == "请假申请\n\n12 天，明天开始"
    assert office.seen().count("已为您准备好。") == 1


def office_platform_id(database: Database, job: Job) -> str:
    found = sa.select(messages.c.platform_id).where(messages.c.id == job.id)
    return str(database.read(lambda db: db.scalar(found)))


def test_a_key_of_another_scope_sends_nothing(office: Office, settings: Settings) -> None:
    job = office.ask()
    office.key = Keys.load(settings).secret("model")
    assert office.post(job, CARD).status_code == 403
