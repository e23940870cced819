"""Customer service without its platform: what items become, whose the cursor is, which calls an answer makes."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.channel.conftest import ledger_of, make_account, make_kf
from tool_server.channel import feedback
from tool_server.channel.account import Account
from tool_server.channel.kf import handover
from tool_server.channel.kf.cursors import Cursors, LostSource, Source, want
from tool_server.channel.kf.items import Failed, Serves, Unreadable, read
from tool_server.channel.kf.page import Page, Taker, read_page
from tool_server.channel.schema import cursors, messages
from tool_server.channel.surface import (
    Address,
    Callback,
    Choices,
    HandOver,
    Incoming,
    Pull,
    Text,
    Thumbs,
)
from tool_server.channel.surfaces import wecom_kf
from tool_server.channel.wecom_api import SendError
from tool_server.database import Database

KF = "wk1"


ACCOUNT = make_kf()


def said(number: int = 1, text: str = "Hallo", **more: Any) -> dict[str, Any]:
    return {
        "msgid": f"m{number}",
        "open_kfid": KF,
        "external_userid": "wmLi",
        "send_time": int(time.time()),
        "origin": 3,
        "msgtype": "text",
        "text": {"content": text},
        **more,
    }


def event(kind: str, **fields: Any) -> dict[str, Any]:
    inner = {"event_type": kind, "open_kfid": KF, "external_userid": "wmLi", **fields}
    return {"msgid": "e1", "send_time": 1, "origin": 4, "msgtype": "event", "event": inner}


class Platform:
    """Answers calls as a test says; remembers them."""

    def __init__(self, code: int = 0) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._code = code

    def call(self, account: Account, path: str, body: str) -> Mapping[str, object]:
        self.calls.append((path, json.loads(body)))
        if self._code:
            raise SendError(self._code, "no", again_in_s=None)
        return {"errcode": 0, "msgid": "theirs"}

    def post(self, url: str, body: str) -> Mapping[str, object]:
        raise AssertionError("customer service posts to no address")


# -- items -----------------------------------------------------------------------------------------


def test_a_message_keeps_whom_to_answer_and_since_when() -> None:
    item = read(ACCOUNT, KF, said())
    handle = json.loads(item.incoming.handle)
    assert (item.incoming.user, item.incoming.text, item.incoming.kind) == ("wmLi", "Hallo", "text")
    assert (handle["open_kfid"], handle["msgid"]) == (KF, "m1")


def test_a_file_is_media_and_a_place_is_words() -> None:
    file = read(ACCOUNT, KF, said(msgtype="file", file={"media_id": "x"})).incoming
    place = {"latitude": 1.0, "longitude": 2.0, "name": "Tor", "address": "Berlin"}
    where = read(ACCOUNT, KF, said(msgtype="location", location=place)).incoming
    assert (file.kind, file.media[0].ref) == ("file", "x")
    assert where.text == "Tor\nBerlin"


def test_what_a_human_wrote_is_not_kept() -> None:
    item = read(ACCOUNT, KF, said(origin=5, text="vertraulich"))
    assert item.effect == Serves(human=True)
    assert "vertraulich" not in repr(item)


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        (event("session_status_change", change_type=1), Serves(human=True)),
        (event("session_status_change", change_type=3), Serves(human=False)),
        (event("msg_send_fail", fail_msgid="x", fail_type=6), Failed("x", 6)),
        (event("enter_session", welcome_code="c"), None),
        (event("something_new"), None),
    ],
)
def test_an_event_changes_what_it_says(body: dict[str, Any], effect: object) -> None:
    item = read(ACCOUNT, KF, body)
    assert (item.effect, item.incoming.user) == (effect, "wmLi")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(("text", "event", "\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from((*said(), "event", "image", "location", "link"))


@given(st.dictionaries(FIELDS, JSON), st.booleans())
def test_no_item_is_a_fault_and_every_one_can_be_stored(
    changes: dict[str, Any], is_event: bool
) -> None:
    base = event("enter_session") if is_event else said()
    try:
        incoming = read(ACCOUNT, KF, base | changes).incoming
    except Unreadable:
        return
    for text in (incoming.text, incoming.user, incoming.kind, incoming.platform_id):
        assert "\0" not in text
        text.encode()
    assert len(incoming.dedupe_key) <= 200
    float(incoming.sent_at)


def test_items_that_cannot_be_read_hold_nobody_up() -> None:
    answer = {"msg_list": [{}, None, said(), "x"], "next_cursor": "c", "has_more": 1}
    page = read_page(ACCOUNT, KF, answer, "")
    assert (len(page.items), page.unreadable, page.cursor, page.more) == (1, 3, "c", True)


# -- cursors ---------------------------------------------------------------------------------------


def leased(database: Database, owner: str = "one") -> tuple[Cursors, Source]:
    database.write(lambda db: want(db, "kf", Pull(KF, "token"), since=0.0))
    table = Cursors(database, owner, lease_s=30)
    source = table.lease()
    assert source is not None
    return table, source


def page_of(*items: dict[str, Any], cursor: str = "c1") -> Page:
    return Page([read(ACCOUNT, KF, item) for item in items], cursor, more=False)


def taker(database: Database, table: Cursors) -> Taker:
    return Taker(ledger_of(database), table, attempts=3)


def stored(database: Database) -> list[tuple[str, str]]:
    found = sa.select(messages.c.question, messages.c.state).order_by(messages.c.id)
    return [(row.question, row.state) for row in database.read(lambda db: db.execute(found).all())]


def test_only_one_process_reads_a_service_account(database: Database) -> None:
    leased(database)
    assert Cursors(database, "two", lease_s=30).lease() is None


def test_the_cursor_and_its_messages_are_stored_together_or_not_at_all(database: Database) -> None:
    table, source = leased(database)
    take = taker(database, table)
    page = page_of(said(1), said(2))

    def fail_at_the_end(db: sa.Connection) -> None:
        take.take(db, source, page, ())
        raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        database.write(fail_at_the_end)
    assert stored(database) == []
    database.write(lambda db: take.take(db, source, page, ()))
    assert stored(database) == [("Hallo", "received")] * 2
    cursor = database.read(lambda db: db.scalar(sa.select(cursors.c.cursor)))
    assert cursor == "c1"


def test_who_has_lost_the_lease_takes_nothing(database: Database) -> None:
    table, source = leased(database)
    table.take_from("one")
    other = Cursors(database, "two", lease_s=30)
    assert other.lease() is not None
    with pytest.raises(LostSource):
        database.write(lambda db: taker(database, table).take(db, source, page_of(said()), ()))
    assert stored(database) == []


def test_a_page_that_was_taken_already_is_not_taken_from_the_same_cursor_again(
    database: Database,
) -> None:
    table, source = leased(database)
    take = taker(database, table)
    database.write(lambda db: take.take(db, source, page_of(said()), ()))
    with pytest.raises(LostSource):
        database.write(lambda db: take.take(db, source, page_of(said(2)), ()))
    assert len(stored(database)) == 1


def test_a_wish_that_came_while_reading_is_not_forgotten(database: Database) -> None:
    table, source = leased(database)
    database.write(lambda db: want(db, "kf", Pull(KF, "newer"), since=0.0))
    table.done(source)
    again = table.lease()
    assert again is not None
    assert again.token == "newer"
    table.done(again)
    assert table.lease() is None


def test_messages_before_the_first_reading_are_noted_for_good(database: Database) -> None:
    database.write(lambda db: want(db, "kf", Pull(KF, "t"), since=time.time() - 60))
    table = Cursors(database, "one", lease_s=30)
    source = table.lease()
    assert source is not None
    old = said(1, send_time=int(time.time()) - 3600)
    database.write(
        lambda db: taker(database, table).take(db, source, page_of(old, said(2, "neu")), ())
    )
    assert stored(database) == [("Hallo", "done"), ("neu", "received")]


# -- answers ---------------------------------------------------------------------------------------


def address(sent_at: float | None = None, **more: str) -> Address:
    at = int(time.time() if sent_at is None else sent_at)
    return Address(
        "wmLi", handle=json.dumps({"open_kfid": KF, "msgid": "m1", "sent_at": at} | more)
    )


def bodies(*contents: Any, to: Address | None = None) -> list[str]:
    return wecom_kf.bodies(ACCOUNT, to or address(0), contents, message_id=1)


def msgids(made: list[str]) -> list[str]:
    return [json.loads(body)["request"]["msgid"] for body in made]


def test_a_msgid_is_the_same_for_the_same_piece_and_another_for_every_other() -> None:
    first = msgids(bodies(Text("a"), Text("a"), Text("b")))
    assert first == msgids(bodies(Text("a"), Text("a"), Text("b")))
    assert len({*first, *msgids(bodies(Text("sorry")))}) == 4
    assert all(len(msgid) == 32 and msgid.isalnum() for msgid in first)


def test_a_welcome_is_one_text_under_its_code() -> None:
    (body,) = bodies(Text("Hallo"), Text("zu viel"), to=address(welcome_code="c"))
    platform = Platform()
    wecom_kf.send(platform, ACCOUNT, body)
    ((path, request),) = platform.calls
    assert path.endswith("send_msg_on_event")
    assert (request["code"], request["text"]["content"]) == ("c", "Hallo")


def test_questions_of_a_welcome_are_a_menu_where_they_fit() -> None:
    (body,) = bodies(Choices("Hallo", "Fragen:", ("Eins?", "Zwei?")), to=address(welcome_code="c"))
    menu = json.loads(body)["request"]["msgmenu"]
    assert menu["head_content"] == "Hallo\n\nFragen:"
    assert [item["click"]["content"] for item in menu["list"]] == ["Eins?", "Zwei?"]
    (body,) = bodies(Choices("Hallo", "Fragen:", ("?" * 129,)), to=address(welcome_code="c"))
    assert json.loads(body)["request"]["text"]["content"].endswith("· " + "?" * 129)


def test_a_press_on_a_thumb_is_feedback_and_on_anything_else_a_question() -> None:
    (body,) = bodies(Thumbs("stream1", "zh"))
    menu = json.loads(body)["request"]["msgmenu"]
    up, down = (item["click"]["id"] for item in menu["list"])
    thumbs = {up: feedback.Thumb("stream1", "like"), down: feedback.Thumb("stream1", "dislike")}
    for name, thumb in thumbs.items():
        text = {"content": "有帮助", "menu_id": name}
        pressed = read(ACCOUNT, KF, said() | {"text": text}).incoming
        assert (pressed.kind, pressed.event) == ("event", "feedback")
        assert feedback.read(pressed.data) == thumb
    text = {"content": "Eins?", "menu_id": "ask/0"}
    asked = read(ACCOUNT, KF, said() | {"text": text}).incoming
    assert (asked.kind, asked.text) == ("text", "Eins?")


def test_after_48_hours_nothing_is_called() -> None:
    (body,) = bodies(Text("spät"), to=address(time.time() - 48 * 3600 - 1))
    platform = Platform()
    with pytest.raises(SendError) as refused:
        wecom_kf.send(platform, ACCOUNT, body)
    assert (refused.value.code, refused.value.again_in_s) == (95002, None)
    assert platform.calls == []


def test_over_the_quota_it_is_tried_later_and_otherwise_not() -> None:
    (body,) = bodies(Text("a"), to=address())
    for code, waits in ((95001, True), (95018, False)):
        with pytest.raises(SendError) as refused:
            wecom_kf.send(Platform(code), ACCOUNT, body)
        assert (refused.value.again_in_s is not None) == waits


@pytest.mark.parametrize(("servicer", "state"), [("", 2), ("anna", 3)])
def test_a_hand_over_goes_to_the_servicer_or_to_the_pool(servicer: str, state: int) -> None:
    account = make_kf(servicer=servicer)
    (body,) = wecom_kf.bodies(account, address(), [HandOver()], message_id=1)
    platform = Platform()
    assert wecom_kf.send(platform, account, body) == "theirs"
    assert platform.calls[0][1]["service_state"] == state
    assert wecom_kf.send(Platform(95016), account, body) == ""  # it has that state already


@pytest.mark.parametrize(
    ("text", "wanted"), [("转人工", True), (" HUMAN! ", True), ("Wo ist der Mensch?", False)]
)
def test_a_human_is_asked_for_by_the_accounts_words(text: str, wanted: bool) -> None:
    assert handover.asked_for(text, ACCOUNT) is wanted
    assert not handover.asked_for(text, make_account())


def test_the_marker_of_an_answer_goes_and_hands_over() -> None:
    assert handover.split("a [[human]]", ACCOUNT) == ("a", True)
    assert handover.split("a", ACCOUNT) == ("a", False)
    assert handover.split("a [[human]]", make_kf(human_marker="")) == ("a [[human]]", False)


def test_other_events_at_the_same_address_are_noted() -> None:
    inner = (
        "<xml><ToUserName>wwcorp</ToUserName><FromUserName>li</FromUserName><CreateTime>1</CreateTime>"
        "<MsgType>event</MsgType><Event>enter_agent</Event><AgentID>1</AgentID></xml>"
    )
    sealed = ACCOUNT.crypt.seal(inner, timestamp="1", nonce="n")
    query = {"msg_signature": sealed.signature, "timestamp": "1", "nonce": "n"}
    body = f"<xml><Encrypt>{sealed.encrypt}</Encrypt></xml>".encode()
    received = wecom_kf.decode(ACCOUNT, Callback(query, body), window_s=0, now=0)
    assert isinstance(received, Incoming)
    assert (received.kind, received.event) == ("event", "callback.enter_agent")
