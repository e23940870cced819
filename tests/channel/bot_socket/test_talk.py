"""A bot by long connection answers: streams grow, acknowledgements get lost, and people see each answer once."""

import time
from pathlib import Path

import pytest

from playground.wechat.bot.bot import PICTURE
from tests.channel.bot_socket.bench import BOT, Bench, make_bot, open_bench
from tests.fakes.dify import Script
from tests.waiting import until
from tool_server.channel.ledger import stream_id

LONG = "".join(f"第{number}句话。" for number in range(40))


@pytest.mark.quiet
def test_a_stream_grows_from_the_progress_to_the_whole_answer(bench: Bench) -> None:
    bench.dify.default = Script(text=LONG, parts=40, part_s=0.05, nodes=(("tool", "查资料", 2.0),))
    bench.start()
    bench.write("zhang", "年假有几天？")
    until(lambda: bench.seen("zhang"), why=bench.logs)
    assert bench.seen("zhang")[0]["text"] == "⏳ 查资料…"
    until(lambda: bench.answers("zhang"), why=bench.logs)
    (entry,) = bench.seen("zhang")
    assert entry["text"] == LONG
    assert entry["version"] > 4
    assert bench.counts()["stream_shrunk"] == 0
    assert entry["text_at"] - bench.dify.runs[0].first_at < 1.5


def test_twenty_copies_of_a_message_run_the_app_once(bench: Bench) -> None:
    bench.start()
    bench.write("zhang", "二十份", copies=20)
    until(lambda: bench.answers("zhang"), why=bench.logs)
    until(lambda: bench.bot.counts["delivered"] == 20)
    time.sleep(0.5)
    assert bench.answers("zhang") == ["答：二十份"]
    assert len(bench.dify.runs) == 1


def test_what_is_written_in_a_group_is_answered_there(bench: Bench) -> None:
    bench.start()
    bench.write("zhang", "群里的问题", chat="group-1")
    until(lambda: bench.answers("zhang"), why=bench.logs)
    (entry,) = bench.seen("zhang")
    assert entry["chat"] == "group-1"


@pytest.mark.parametrize("finish_again", ["ok", "expired"])
def test_a_lost_acknowledgement_of_the_answer_shows_it_once(
    tmp_path: Path, finish_again: str
) -> None:
    bot = make_bot(finish_again=finish_again)
    with open_bench(tmp_path, bot, channel_bot_ack_s="1") as bench:
        bench.start()
        bench.script("finish:aibot_respond_msg", "lost_ack")
        msg_id = bench.write("zhang", "确认丢了")
        until(lambda: bench.done(msg_id), why=bench.logs)
        assert [entry["text"] for entry in bench.seen("zhang")] == ["答：确认丢了"]
        assert bench.bot.counts["acks_lost"] == 1


def test_an_answer_whose_stream_has_expired_comes_as_a_message(bench: Bench) -> None:
    bench.start()
    bench.script("finish:aibot_respond_msg", "errcode", code=846608)
    bench.write("zhang", "太晚了")
    until(lambda: bench.answers("zhang"), why=bench.logs)
    (entry,) = [entry for entry in bench.seen("zhang") if entry["finish"]]
    assert (entry["source"], entry["text"]) == ("push", "答：太晚了")


def test_a_very_long_answer_goes_on_in_messages_of_its_own(bench: Bench) -> None:
    text = "".join(f"这是第{number}个句子。" for number in range(1500))
    bench.dify.default = Script(text=text)
    bench.start()
    msg_id = bench.write("zhang", "很长")
    until(lambda: bench.done(msg_id), why=bench.logs)
    shown = bench.seen("zhang")
    assert [entry["source"] for entry in shown] == ["stream", "push"]
    assert "".join(entry["text"][6:] for entry in shown) == text
    assert all(entry["bytes"] <= 20480 for entry in shown)


def test_a_quota_that_is_used_up_delays_the_answer_only(bench: Bench) -> None:
    bench.start()
    bench.script("finish:aibot_respond_msg", "errcode", code=-1)
    bench.write("zhang", "太快了")
    until(lambda: bench.answers("zhang"), why=bench.logs)
    assert bench.answers("zhang") == ["答：太快了"]


def test_frames_that_the_platform_refuses_do_not_stop_the_answer(bench: Bench) -> None:
    bench.dify.default = Script(text=LONG, parts=20, part_s=0.05)
    bench.start()
    bench.script("aibot_respond_msg", "errcode", code=45009)
    bench.write("zhang", "计数")
    until(lambda: bench.answers("zhang"), why=bench.logs)
    assert bench.answers("zhang") == [LONG]


def test_who_enters_the_chat_is_welcomed_within_the_platforms_time(bench: Bench) -> None:
    bench.start()
    bench.bot.happen("zhang", "enter_chat", {})
    until(lambda: bench.seen("zhang"), why=bench.logs)
    calls = bench.bot.calls("aibot_respond_welcome_msg")
    assert [call["errcode"] for call in calls] == [0]
    assert bench.dify.runs == []


STARTERS = {"opening_statement": "我是深桥。", "suggested_questions": ["年假有几天？", "VPN？"]}


def test_starter_questions_are_buttons_of_the_welcome_and_a_press_asks_and_changes_the_card(
    bench: Bench,
) -> None:
    bench.dify.features = STARTERS
    bench.start()
    entered = bench.bot.happen("zhang", "enter_chat", {})
    until(lambda: bench.seen("zhang"), why=bench.logs)
    (welcome,) = bench.seen("zhang")
    assert welcome["text"] == "您可以这样问： [年假有几天？] [VPN？]"
    task = f"ask-{stream_id(f'bot/{BOT}/{entered}')}"
    pressed = {"event_key": "ask:VPN？", "task_id": task}
    bench.bot.happen("zhang", "template_card_event", pressed)
    until(lambda: bench.answers("zhang")[1:], why=bench.logs)
    assert bench.answers("zhang")[1:] == ["答：VPN？"]
    assert bench.counts()["card_updated"] == 1
    assert bench.bot.cards[task] == "您可以这样问： [年假有几天？] [✓ VPN？]"
    assert [run.query for run in bench.dify.runs] == ["VPN？"]


def test_pictures_and_files_of_an_answer_come_below_it(bench: Bench) -> None:
    large = b"%PDF-1.7 " + bytes(1_200_000)  # three chunks
    files = (bench.dify.hold("图.png", PICTURE), bench.dify.hold("报表.pdf", large))
    bench.dify.default = Script(text="见附件。", files=files)
    bench.start()
    msg_id = bench.write("zhang", "报表呢？")
    until(lambda: bench.done(msg_id), why=bench.logs)
    assert bench.answers("zhang") == ["见附件。", "[image] 图.png", "[file] 报表.pdf"]
    assert len(bench.bot.calls("aibot_upload_media_chunk")) == 4
    assert {call["errcode"] for call in bench.bot.calls("aibot_upload_media_finish")} == {0}


def test_a_file_that_the_platform_does_not_take_costs_the_file_alone(bench: Bench) -> None:
    bench.dify.default = Script(text="见附件。", files=(bench.dify.hold("图.png", PICTURE),))
    bench.start()
    bench.script("aibot_upload_media_init", "errcode", code=45009)
    msg_id = bench.write("zhang", "图呢？")
    until(lambda: bench.done(msg_id), why=bench.logs)
    assert bench.answers("zhang") == ["见附件。\n\n（有文件未能发送：图.png）"]


def test_a_worker_killed_between_upload_and_answer_shows_all_once(bench: Bench) -> None:
    bench.dify.default = Script(text="见图。", files=(bench.dify.hold("图.png", PICTURE),))
    bench.start(workers=2)
    bench.script("aibot_upload_media_finish", "slow_after", seconds=2)
    msg_id = bench.write("zhang", "图呢？")
    until(lambda: bench.bot.calls("aibot_upload_media_finish"), why=bench.logs)
    bench.kill(bench.leader())
    until(lambda: bench.done(msg_id), 60, bench.logs)
    assert bench.answers("zhang") == ["见图。", "[image] 图.png"]
    assert len(bench.bot.calls("aibot_upload_media_finish")) == 2
    assert len(bench.dify.runs) == 1


@pytest.mark.quiet
@pytest.mark.thorough
def test_with_one_acknowledgement_in_ten_lost_all_is_shown_once_and_grows(tmp_path: Path) -> None:
    with open_bench(tmp_path, make_bot(lose_acks=0.1), channel_bot_ack_s="0.5") as bench:
        bench.dify.default = Script(text=LONG, parts=20, part_s=0.05)
        bench.start()
        users = [f"user{number}" for number in range(40)]
        for user in users:
            bench.write(user, f"问题 {user}")
        until(lambda: all(bench.answers(user) for user in users), why=bench.logs)
        time.sleep(1.5)
        assert {user: len(bench.seen(user)) for user in users} == dict.fromkeys(users, 1)
        assert bench.bot.counts["acks_lost"] > 0
        assert bench.counts()["stream_shrunk"] == 0
        began = {run.user: run.first_at for run in bench.dify.runs}
        waits_s = [bench.seen(user)[0]["text_at"] - began[user] for user in users]
        lost = bench.bot.counts["acks_lost"]
        print(f"{lost} acks lost, first text at most {max(waits_s):.2f} s after the app's")  # noqa: T201
        assert max(waits_s) < 1.5
