"""Customer service through real processes: what is pulled is answered once, a human is never talked over."""

from collections.abc import Iterator

import pytest

from tests.fakes.dify import FakeDify, Script
from tests.reliability.kf import Customers, open_customers
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def customers(dify: FakeDify, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customers]:
    limits = {"empty_every": 3, "fail_after_s": 0.1}
    settings = {"SHENQIAO_CHANNEL_KF_PAGE": "5", "SHENQIAO_CHANNEL_KF_FRESH_S": "3600"}
    with open_customers(
        tmp_path_factory.mktemp("kf"), dify, limits=limits, settings=settings
    ) as customers:
        yield customers


def test_a_customer_is_answered_once_however_often_we_are_told(customers: Customers) -> None:
    msgid = customers.say("once", "你好", copies=5)
    customers.settled(msgid)
    customers.tell()
    customers.tell()
    last = customers.say("once", "再见")
    customers.settled(last)
    assert customers.read("once") == ["答：你好", "答：再见"]


def test_more_than_a_page_is_read_to_the_end(customers: Customers) -> None:
    msgids = customers.queue(23, 23)
    customers.tell()
    for msgid in msgids:
        customers.settled(msgid)
    for user in msgids.values():
        assert len(customers.read(user)) == 1


def test_nothing_is_said_while_a_human_serves_and_again_afterwards(
    customers: Customers, dify: FakeDify
) -> None:
    user = "served"
    customers.settled(customers.say(user, "Bot?"))
    customers.human(user, "take")
    during = customers.say(user, "Mensch?")
    customers.settled(during)
    customers.human(user, "say", text="Hier bin ich.")
    customers.human(user, "end")
    after = customers.say(user, "Bot wieder?")
    customers.settled(after)
    assert customers.read(user) == ["答：Bot?", "答：Bot wieder?"]
    assert customers.reason(during) == "a human serves this customer"
    assert [run.query for run in dify.runs if "Mensch" in run.query] == []


def test_an_answer_on_its_way_is_not_shown_once_a_human_has_taken_over(
    customers: Customers, dify: FakeDify
) -> None:
    user, question = "taken", "langsam"
    dify.scripts[question] = Script(seconds=2.0)
    msgid = customers.say(user, question)
    wait_for(lambda: dify.runs)
    customers.human(user, "take")
    customers.settled(msgid)
    wait_for(lambda: dify.runs[0].answer)
    last = customers.say(user, "noch da?")
    customers.settled(last)
    assert customers.read(user) == []
    assert customers.reason(msgid) == customers.reason(last) == "a human serves this customer"


def test_a_human_of_whom_no_event_told_is_not_talked_over(customers: Customers) -> None:
    customers.settled(customers.say("silent", "eins"))
    customers.set_state("silent", 2)
    msgid = customers.say("silent", "zwei")
    customers.settled(msgid)
    assert customers.read("silent") == ["答：eins"]
    assert customers.reason(msgid) == "a human serves this customer"


def test_a_lost_event_of_the_end_does_not_silence_for_ever(customers: Customers) -> None:
    user = "freed"
    customers.settled(customers.say(user, "eins"))
    customers.human(user, "take")
    customers.settled(customers.say(user, "zwei"))
    customers.set_state(user, 1)  # it went back to the bot, and no event said so
    customers.settled(customers.say(user, "drei"))
    assert customers.read(user) == ["答：eins", "答：drei"]


@pytest.mark.parametrize("words", ["转人工", "Human"])
def test_a_customer_who_asks_for_a_human_is_handed_over(customers: Customers, words: str) -> None:
    user = f"asks-{len(words)}"
    customers.settled(customers.say(user, words))
    (said,) = customers.read(user)
    assert said.startswith(("好的", "One moment"))
    assert customers.sessions()[user] == 3
    last = customers.say(user, "hallo?")
    customers.settled(last)
    assert customers.read(user) == [said]


def test_an_app_hands_over_with_its_marker(customers: Customers, dify: FakeDify) -> None:
    dify.scripts["退款"] = Script(text="退款需要同事处理。[[human]]")
    customers.settled(customers.say("refund", "退款"))
    assert customers.read("refund") == ["退款需要同事处理。"]
    assert customers.sessions()["refund"] == 3


@pytest.mark.parametrize(("fail_type", "shown"), [(0, ["答：wieder"]), (10, []), (13, [])])
def test_a_message_that_failed_later_is_sent_again_or_given_up_by_its_type(
    customers: Customers, fail_type: int, shown: list[str]
) -> None:
    user = f"fails-{fail_type}"
    customers.fail(fail_type)
    msgid = customers.say(user, "wieder")
    wanted = "done" if shown else "failed"
    wait_for(lambda: customers.read(user) == shown and customers.state(msgid) == wanted)
    wait_for(lambda: "piece.failed" in customers.events(msgid))
    pieces = customers.life(msgid)["pieces"]
    assert [piece["state"] for piece in pieces] == ["sent" if shown else "failed"]


def test_what_exceeds_the_quota_waits_for_the_customers_next_message(customers: Customers) -> None:
    customers.fail(6)
    first = customers.say("quota", "eins")
    wait_for(lambda: "piece.failed" in customers.events(first))
    assert customers.read("quota") == []
    customers.settled(customers.say("quota", "zwei"))
    assert customers.read("quota") == ["答：eins", "答：zwei"]


def test_many_messages_in_a_row_are_answered_together(customers: Customers, dify: FakeDify) -> None:
    user = "burst"
    msgids = [customers.say(user, f"Zeile {number}", tell=False) for number in range(12)]
    customers.tell()
    for msgid in msgids:
        customers.settled(msgid)
    asked = [run.query for run in dify.runs if run.user == user]
    assert len(asked) <= 5
    lines = "\n".join(asked).split("\n")
    assert lines == [f"Zeile {number}" for number in range(12)]
    assert len(customers.read(user)) == len(asked)


def test_what_was_written_long_before_the_connection_is_noted_only(
    customers: Customers, dify: FakeDify
) -> None:
    msgid = customers.say("old", "vor Stunden", age_s=7200)
    customers.settled(msgid)
    assert customers.read("old") == []
    assert customers.reason(msgid) == "written before this service account was connected"
    assert dify.runs == []


def test_who_comes_in_is_welcomed_under_the_code_of_their_coming(customers: Customers) -> None:
    assert customers.enter("newcomer")
    wait_for(lambda: customers.read("newcomer"))
    customers.settled(customers.say("newcomer", "Hallo"))
    assert customers.enter("newcomer") == ""
    customers.settled(customers.say("newcomer", "Da bin ich wieder"))
    assert len(customers.read("newcomer")) == 3


@pytest.mark.parametrize("kind", ["image", "voice", "video", "file", "location", "miniprogram"])
def test_what_is_no_text_gets_one_sentence(customers: Customers, kind: str) -> None:
    customers.settled(customers.say(f"kind-{kind}", kind=kind))
    assert len(customers.read(f"kind-{kind}")) == 1


def test_a_click_in_a_menu_is_a_question(customers: Customers) -> None:
    customers.settled(customers.say("menu", "营业时间", kind="menu"))
    assert customers.read("menu") == ["答：营业时间"]


def test_a_bad_token_is_dropped_and_the_messages_are_read_without_it(customers: Customers) -> None:
    msgid = customers.say("expired", "noch da?", tell=False)
    customers.stage.script("sync_msg", "errcode", code=95007)
    customers.tell()
    customers.settled(msgid)
    assert customers.read("expired") == ["答：noch da?"]


def test_a_platform_that_is_away_for_a_while_loses_nothing(customers: Customers) -> None:
    customers.stage.script("sync_msg", "http_500", times=2)
    customers.settled(customers.say("away", "später"))
    assert customers.read("away") == ["答：später"]


def test_a_page_whose_answer_was_lost_is_read_again_and_answered_once(customers: Customers) -> None:
    customers.stage.script("sync_msg", "reset_after")
    customers.settled(customers.say("reset", "einmal"))
    assert customers.read("reset") == ["答：einmal"]


def test_a_send_whose_answer_was_lost_is_shown_once(customers: Customers) -> None:
    customers.stage.script("kf/send_msg", "reset_after")
    msgid = customers.say("lost", "einmal")
    customers.settled(msgid)
    assert customers.read("lost") == ["答：einmal"]
    assert customers.stage.counts()["dropped_duplicate"] >= 1
