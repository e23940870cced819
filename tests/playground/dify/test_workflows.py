"""Each workflow file, run as it is: the good way with its sources, and every way that ends in a sentence."""

import json
import threading
from typing import Any

import pytest
from pydantic import SecretStr

from tests.playground.dify.apps import (
    APP_KEY,
    OTHER,
    App,
    Apps,
    ScriptedServer,
    answer_of,
    sources_of,
)
from tool_server.channel.account import WeComKf
from tool_server.channel.checks import check_dify
from tool_server.channel.kf import handover
from tool_server.settings import load

CHOSEN_MODEL = {"provider": OTHER, "name": "theirs", "mode": "chat", "completion_params": {}}
SEEING = {
    "nodes": {"look": {"model": CHOSEN_MODEL}},
    "environment": {"model_can_see": "yes"},
}
CHOSEN = {
    "nodes": {"retrieve": {"dataset_ids": ["manual"]}, "model": {"model": CHOSEN_MODEL}},
}
ANSWERING = ("knowledge_assistant", "picture_and_voice", "human_handover", "streaming_assistant")
# A model's failure ends the run of the streaming one: see its own test.
WITH_BRANCH = ("knowledge_assistant", "picture_and_voice", "human_handover")
PNG = b"\x89PNG\r\n\x1a\n"


def in_both_languages(text: str) -> bool:
    return text.startswith(("抱歉", "好的")) and "\n\n" in text and text.isascii() is False


def a_picture(app: App) -> dict[str, str]:
    return app.upload("a.png", PNG, "image/png", "image")


# -- all that answer from our knowledge -----------------------------------------------------


@pytest.mark.parametrize("name", ANSWERING)
def test_a_covered_question_is_answered_with_its_source(apps: Apps, name: str) -> None:
    events = apps.open(name).ask()
    assert answer_of(events) == "12 天"
    assert sources_of(events) == ["员工手册 › 年假"]


@pytest.mark.parametrize("name", ANSWERING)
def test_the_ticket_reaches_the_search(apps: Apps, scripted: ScriptedServer, name: str) -> None:
    apps.open(name).ask(inputs={"ticket": "t-1"})
    assert scripted.searches[-1]["ticket"] == "t-1"


@pytest.mark.parametrize("name", ANSWERING)
def test_a_search_that_failed_once_is_tried_again(
    apps: Apps, scripted: ScriptedServer, name: str
) -> None:
    scripted.failing_searches = 1
    assert answer_of(apps.open(name).ask()) == "12 天"


@pytest.mark.parametrize("name", ANSWERING)
def test_a_search_that_fails_ends_in_a_sentence(
    apps: Apps, scripted: ScriptedServer, name: str
) -> None:
    scripted.failing_searches = 2
    text = answer_of(apps.open(name).ask())
    assert in_both_languages(text)
    assert "Sorry" in text
    assert scripted.chats == []


@pytest.mark.parametrize("name", [name for name in ANSWERING if name != "human_handover"])
@pytest.mark.parametrize(
    ("query", "beginning"),
    [("股票代码？", "抱歉，我在资料里没有找到"), ("Stock?", "Sorry, I found no answer")],
)
def test_an_uncovered_question_gets_the_sentence_of_its_language(
    apps: Apps, scripted: ScriptedServer, name: str, query: str, beginning: str
) -> None:
    scripted.found = False
    assert answer_of(apps.open(name).ask(query)).startswith(beginning)
    assert scripted.chats == []


@pytest.mark.parametrize("name", WITH_BRANCH)
@pytest.mark.parametrize(("query", "word"), [("年假？", "抱歉"), ("Leave?", "Sorry")])
def test_a_model_that_fails_ends_in_a_sentence(
    apps: Apps, scripted: ScriptedServer, name: str, query: str, word: str
) -> None:
    scripted.scripts = [None]
    events = apps.open(name).ask(query)
    assert word in answer_of(events)
    assert "engine" not in answer_of(events)
    assert events[-2]["data"]["status"] == "partial-succeeded"


# -- pictures and documents -----------------------------------------------------------------


def test_a_picture_is_declined_while_the_model_cannot_see(
    apps: Apps, scripted: ScriptedServer
) -> None:
    app = apps.open("picture_and_voice")
    text = answer_of(app.ask("这是什么？", files=[a_picture(app)]))
    assert text.startswith("抱歉，我现在还看不了图片")
    assert "I cannot look at pictures" in text
    assert scripted.chats == []


def test_a_picture_and_its_question_become_one_question_for_the_search(
    apps: Apps, scripted: ScriptedServer
) -> None:
    scripted.scripts = ["VPN 报错 691 怎么办？", "找信息部。"]
    app = apps.open("picture_and_voice", SEEING)
    events = app.ask("怎么办？", files=[a_picture(app)])
    assert answer_of(events) == "找信息部。"
    assert sources_of(events) == ["员工手册 › 年假"]
    seen = json.dumps(scripted.chats[0]["messages"])
    assert "data:image/png;base64,iVBORw0KGgo=" in seen
    assert scripted.searches[-1]["query"] == "VPN 报错 691 怎么办？"
    assert scripted.chats[1]["messages"][-1]["content"] == "VPN 报错 691 怎么办？"


def test_a_picture_that_cannot_be_read_ends_in_a_sentence(
    apps: Apps, scripted: ScriptedServer
) -> None:
    scripted.scripts = [None, None]
    app = apps.open("picture_and_voice", SEEING)
    text = answer_of(app.ask("怎么办？", files=[a_picture(app)]))
    assert text.startswith("抱歉，这张图片我没能看懂")
    assert "Sorry, I could not read the picture" in text


def test_a_document_is_answered_from_its_own_text(apps: Apps, scripted: ScriptedServer) -> None:
    scripted.scripts = ["三年。"]
    app = apps.open("picture_and_voice")
    sent = app.upload("合同.txt", "合同期为三年。".encode(), "text/plain", "document")
    assert answer_of(app.ask("合同期多长？", files=[sent])) == "三年。"
    assert "<document>\n合同期为三年。\n</document>" in scripted.chats[0]["messages"][0]["content"]
    assert scripted.searches == []


def test_a_document_that_the_model_cannot_take_ends_in_a_sentence(
    apps: Apps, scripted: ScriptedServer
) -> None:
    scripted.scripts = [None]
    app = apps.open("picture_and_voice")
    sent = app.upload("合同.txt", b"text", "text/plain", "document")
    text = answer_of(app.ask("合同期多长？", files=[sent]))
    assert text.startswith("抱歉，我没能根据这份文档回答")
    assert "Sorry, I could not answer from this document" in text


def test_a_document_of_an_unknown_kind_fails_the_run(apps: Apps) -> None:
    app = apps.open("picture_and_voice")
    sent = app.upload("a.bin", b"\x00", "application/octet-stream", "document")
    events = app.ask("这是什么？", files=[sent])
    assert (events[-1]["event"], events[-1]["code"]) == ("error", "completion_request_error")


def test_what_people_say_may_be_written_down_by_dify(apps: Apps) -> None:
    parameters = apps.open("picture_and_voice").http.get("/v1/parameters").json()
    assert parameters["speech_to_text"] == {"enabled": True}
    assert parameters["file_upload"]["allowed_file_types"] == ["image", "document"]


# -- customers ------------------------------------------------------------------------------


def handed_over(text: str) -> bool:
    """What the channel makes of an answer, for an account as it is without further settings."""
    words, wanted = handover.split(text, kf_account())
    return wanted and bool(words) and "[[" not in words


def kf_account() -> WeComKf:
    values = {
        "surface": "wecom_kf",
        "corp_id": "ww0123456789abcdef",
        "secret": "s",
        "token": "t" * 16,
        "encoding_aes_key": "A" * 43,
        "dify_url": "http://127.0.0.1/v1",
        "dify_key": "app-k",
    }
    return WeComKf.model_validate(values)


@pytest.mark.parametrize("query", ["我要投诉", "I want a refund"])
def test_a_customer_who_complains_is_handed_over_at_once(
    apps: Apps, scripted: ScriptedServer, query: str
) -> None:
    text = answer_of(apps.open("human_handover").ask(query))
    assert in_both_languages(text)
    assert handed_over(text)
    assert scripted.searches == []


@pytest.mark.parametrize("failure", ["search", "coverage", "model"])
def test_what_cannot_be_answered_is_handed_over(
    apps: Apps, scripted: ScriptedServer, failure: str
) -> None:
    scripted.failing_searches = 2 if failure == "search" else 0
    scripted.found = failure != "coverage"
    scripted.scripts = [None] if failure == "model" else []
    text = answer_of(apps.open("human_handover").ask())
    assert in_both_languages(text)
    assert handed_over(text)


def test_the_model_may_hand_over_itself(apps: Apps, scripted: ScriptedServer) -> None:
    scripted.scripts = ["[[human]]"]
    text = answer_of(apps.open("human_handover").ask())
    assert handover.split(text, kf_account()) == ("", True)
    assert "write [[human]] and nothing else" in scripted.chats[0]["messages"][0]["content"]


# -- the streaming one ----------------------------------------------------------------------


def test_text_is_told_while_the_model_still_writes(apps: Apps, scripted: ScriptedServer) -> None:
    scripted.go_on.clear()
    with apps.open("streaming_assistant").watch() as events:
        first = next(event for event in events if event["event"] == "message")
        scripted.go_on.set()
        rest = list(events)
    assert first["answer"] == "12 "
    assert [event["answer"] for event in rest if event["event"] == "message"] == ["天"]
    assert rest[-1]["event"] == "message_end"


def test_a_model_with_a_branch_tells_its_text_when_it_is_whole(
    apps: Apps, scripted: ScriptedServer
) -> None:
    scripted.go_on.clear()
    app = apps.open("knowledge_assistant")
    threading.Timer(0.5, scripted.go_on.set).start()
    with app.watch() as events:
        assert next(event for event in events if event["event"] == "message")
        assert scripted.go_on.is_set()


def test_a_person_can_be_told_what_is_being_done(apps: Apps) -> None:
    events = apps.open("streaming_assistant").ask()
    started = [event["data"] for event in events if event["event"] == "node_started"]
    told = [node["title"] for node in started if node["node_type"] in ("tool", "llm")]
    assert told == ["Searching the documents 正在检索资料", "Writing the answer 正在写回答"]


def test_a_model_that_fails_while_it_streams_fails_the_run(
    apps: Apps, scripted: ScriptedServer
) -> None:
    scripted.break_stream = True
    events = apps.open("streaming_assistant").ask()
    assert answer_of(events) == "12 天"
    assert events[-1]["event"] == "error"
    assert events[-2]["data"]["status"] == "failed"


def test_an_account_with_an_app_that_cannot_chat_is_told_so(apps: Apps) -> None:
    settings = load({"SHENQIAO_MODEL_ENABLED": "no"})
    for name, good in (("ticket_triage", False), ("knowledge_assistant", True)):
        values = {"dify_url": apps.open(name).url, "dify_key": SecretStr(APP_KEY)}
        check, *_ = check_dify(settings, kf_account().model_copy(update=values))
        assert (check.name, check.ok) == ("dify", good)
        assert good or "Take a chatflow" in check.advice


# -- Dify's own knowledge -------------------------------------------------------------------


def test_difys_own_knowledge_is_answered_from_with_its_source(
    apps: Apps, scripted: ScriptedServer
) -> None:
    events = apps.open("dify_knowledge", CHOSEN).ask()
    assert answer_of(events) == "12 天"
    assert sources_of(events) == ["员工手册"]
    assert "年假：员工每年有 12 天年假。" in scripted.chats[0]["messages"][0]["content"]
    assert scripted.chats[0]["model"] == "theirs"
    assert scripted.searches == []


def test_difys_own_knowledge_may_hold_nothing(apps: Apps, scripted: ScriptedServer) -> None:
    assert in_both_languages(answer_of(apps.open("dify_knowledge", CHOSEN).ask("股票代码是多少？")))
    assert scripted.chats == []


def test_somebody_elses_model_may_fail(apps: Apps, scripted: ScriptedServer) -> None:
    scripted.scripts = [None]
    assert in_both_languages(answer_of(apps.open("dify_knowledge", CHOSEN).ask()))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"nodes": {"retrieve": {"dataset_ids": ["gone"]}}}, "Dataset not found"),
        ({"nodes": {"retrieve": {"dataset_ids": ["manual"]}}}, ""),
    ],
)
def test_a_base_that_is_gone_fails_the_run_and_a_missing_model_does_not(
    apps: Apps, changes: dict[str, Any], word: str
) -> None:
    events = apps.open("dify_knowledge", changes).ask()
    assert (events[-1]["event"] == "error") == bool(word)
    assert word in events[-1].get("message", "")
    if not word:
        assert in_both_languages(answer_of(events))
