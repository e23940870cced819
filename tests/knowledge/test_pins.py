"""Pinned answers and questions without one: what an editor writes, what a search then shows, to whom."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from scripts.demo_model.corpus import load
from tests.waiting import wait_for
from tool_server.__main__ import shenqiao
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.errors import BadRequest, NotFound
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.catalogue import Catalogue
from tool_server.knowledge.filters import parse
from tool_server.knowledge.misses import MissWriter
from tool_server.knowledge.pins import PinText
from tool_server.knowledge.pins_import import ERRORS, import_pins
from tool_server.knowledge.search import Knowledge, Passage, Question, search
from tool_server.settings import Settings

WIFI = PinText(
    question="访客的无线网密码是多少？", answer="前台有一张卡片。", url="http://wiki/wifi"
)


@pytest.fixture
def pinned(handbook: Knowledge) -> Knowledge:
    handbook.catalogue.pins.put("handbook", WIFI, limit=10)
    return handbook


@pytest.fixture
def editor(handbook: Knowledge) -> Iterator[FlaskClient]:
    app = create_app(handbook.settings)
    client = app.test_client()
    key = Keys.load(handbook.settings).secret("editor")
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    yield client
    app.extensions["channel"].close()


def first(knowledge: Knowledge, question: str, **more: Any) -> Passage | None:
    passages = search(knowledge, Question(question, **more)).passages
    return passages[0] if passages and passages[0].pinned else None


@pytest.mark.parametrize(
    "question",
    ["访客的无线网密码是多少？", "请问访客无线网的密码", "无线网访客密码！", "访客 无线网 密码"],
)
def test_a_pinned_answer_comes_first_however_its_question_is_worded(
    pinned: Knowledge, question: str
) -> None:
    result = search(pinned, Question(question, top_k=3))
    best = result.passages[0]
    assert (best.content, best.title, best.url) == (WIFI.answer, WIFI.question, WIFI.url)
    assert (best.score, best.pinned, result.found, len(result.passages)) == (1.0, True, True, 3)


@pytest.mark.parametrize(
    "question", ["无线网怎么连？", "访客怎么登记？", "密码忘了怎么办", "年假有几天"]
)
def test_another_question_does_not_get_it(pinned: Knowledge, question: str) -> None:
    assert first(pinned, question) is None


def test_the_share_holds_what_was_measured(knowledge: Knowledge) -> None:
    """Of each topic one wording is pinned: its others mostly get that answer, those of other topics never."""
    knowledge.catalogue.set_profile("kb", Profile())
    topics = load().topics
    for topic in topics:
        pin = PinText(question=topic.wordings[0], answer=topic.text)
        knowledge.catalogue.pins.put("kb", pin, limit=1000)
    wrong = right = asked = 0
    for topic in topics:
        for question in (*topic.wordings[1:], *topic.held_out):
            best = first(knowledge, question)
            asked += 1
            right += best is not None and best.content == topic.text
            wrong += best is not None and best.content != topic.text
    assert (wrong, right / asked >= 0.1) == (0, True)


def test_a_question_without_a_telling_word_has_to_be_the_same(pinned: Knowledge) -> None:
    pin = PinText(question="怎么了？", answer="没什么。")
    pinned.catalogue.pins.put("handbook", pin, limit=10)
    assert first(pinned, "怎么了") is not None
    assert first(pinned, "怎么样") is None


def test_access_holds_for_pins(pinned: Knowledge) -> None:
    secret = PinText(question="保险柜密码", answer="1234", access=("user:acc/li",))
    pinned.catalogue.pins.put("handbook", secret, limit=10)
    li = frozenset({"public", "user:acc/li"})
    assert first(pinned, "保险柜密码") is None
    assert first(pinned, "保险柜密码", rights=li) is not None
    pinned.catalogue.set_profile("handbook", Profile(access=("user:acc/wang",)))
    assert first(pinned, "保险柜密码", rights=li) is None
    assert first(pinned, WIFI.question) is None


def test_a_filter_that_documents_without_metadata_do_not_pass_holds_for_pins(
    pinned: Knowledge,
) -> None:
    def with_condition(operator: str) -> Passage | None:
        conditions = [{"name": "a", "comparison_operator": operator}]
        return first(pinned, WIFI.question, filter=parse({"conditions": conditions}))

    assert with_condition("not empty") is None
    assert with_condition("empty") is not None


def test_a_change_of_another_process_holds_for_the_next_search(
    pinned: Knowledge, settings: Settings
) -> None:
    assert first(pinned, WIFI.question) is not None
    other = Catalogue.open(settings)
    (pin,) = other.pins.page("handbook")
    other.pins.change(pin.id, PinText(question=WIFI.question, answer="changed"))
    found = first(pinned, WIFI.question)
    assert found is not None
    assert found.content == "changed"
    other.pins.remove(pin.id)
    assert first(pinned, WIFI.question) is None
    other.close()


def test_the_same_question_is_one_pin_and_a_base_has_a_bounded_number(pinned: Knowledge) -> None:
    pins = pinned.catalogue.pins
    again = pins.put("handbook", PinText(question="请问访客的无线网密码？", answer="new"), limit=1)
    assert [(pin.id, pin.answer) for pin in pins.page("handbook")] == [(again, "new")]
    with pytest.raises(BadRequest, match="1 pinned"):
        pins.put("handbook", PinText(question="停车", answer="x"), limit=1)
    with pytest.raises(NotFound):
        pins.put("nowhere", WIFI, limit=10)
    other = pins.put("handbook", PinText(question="停车", answer="x"), limit=2)
    with pytest.raises(BadRequest, match="another"):
        pins.change(other, WIFI)


def test_an_editor_lists_adds_changes_and_deletes(editor: FlaskClient) -> None:
    body = {"base": "handbook", "question": "停车收费吗", "answer": "不收"}
    name = editor.post("/knowledge/pins", json=body).get_json()["id"]
    page = editor.get("/knowledge/pins?base=handbook&limit=10").get_json()["pins"]
    assert page == [{"id": name, **body, "url": "", "access": []}]
    changed = {"question": "停车收费吗", "answer": "收", "access": ["public"]}
    assert editor.put(f"/knowledge/pins/{name}", json=changed).status_code == 200
    assert editor.get("/knowledge/pins").get_json()["pins"][0]["answer"] == "收"
    assert editor.delete(f"/knowledge/pins/{name}").status_code == 200
    assert editor.delete(f"/knowledge/pins/{name}").status_code == 404
    assert editor.get("/knowledge/pins").get_json() == {"pins": []}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/knowledge/pins"),
        ("POST", "/knowledge/pins"),
        ("PUT", "/knowledge/pins/x"),
        ("DELETE", "/knowledge/pins/x"),
        ("POST", "/knowledge/pins/import?base=handbook"),
        ("GET", "/knowledge/misses"),
        ("DELETE", "/knowledge/misses"),
        ("GET", "/knowledge/bases/handbook"),
        ("PUT", "/knowledge/bases/handbook"),
    ],
)
def test_only_an_editor_s_key_opens_these(
    editor: FlaskClient, handbook: Knowledge, method: str, path: str
) -> None:
    for scope in ("knowledge", "admin", "channel", "model"):
        key = {"Authorization": f"Bearer {Keys.load(handbook.settings).secret(scope)}"}
        assert editor.open(path, method=method, headers=key, json={}).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"question": "a", "answer": "b"}, "base"),
        ({"base": "handbook", "question": " ", "answer": "b"}, "question"),
        ({"base": "handbook", "question": "？！", "answer": "b"}, "question"),
        ({"base": "handbook", "question": "a", "answer": ""}, "answer"),
        ({"base": "handbook", "question": "\ud800a", "answer": "b"}, "question"),
        ({"base": "handbook", "question": "x", "answer": "b\udc00"}, "answer"),
        ({"base": "handbook", "question": "x", "answer": "b", "access": ["me"]}, "access.0"),
    ],
)
def test_a_wrong_pin_names_its_field(editor: FlaskClient, body: Any, field: str) -> None:
    answer = editor.post("/knowledge/pins", data=json.dumps(body))
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (400, field)


CSV = 'question,answer,url\n停车收费吗？,不收,http://wiki/p\n,空,\n\n访客的无线网密码,"卡片,\n前台",\n？,x,\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_an_import_takes_good_rows_and_names_the_others(
    editor: FlaskClient, handbook: Knowledge, encoding: str
) -> None:
    for _ in range(2):  # the same file again changes nothing
        answer = editor.post("/knowledge/pins/import?base=handbook", data=CSV.encode(encoding))
        report = answer.get_json()
        assert (report["stored"], report["refused"]) == (2, 2)
        assert [error["row"] for error in report["errors"]] == [3, 6]
        found = first(handbook, "访客无线网密码")
        assert found is not None
        assert found.content == "卡片,\n前台"
    assert len(handbook.catalogue.pins.page("handbook")) == 2


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2", b"question\nx", b"\xff\xff", b'question,answer\n"x']
)
def test_what_is_no_table_of_answers_is_refused_whole(handbook: Knowledge, content: bytes) -> None:
    with pytest.raises(BadRequest):
        import_pins(handbook.catalogue.pins, "handbook", content, limit=10)
    assert handbook.catalogue.pins.page("handbook") == []


def test_only_the_first_wrong_rows_are_told_one_by_one(handbook: Knowledge) -> None:
    content = b"question,answer\n" + b"x,\n" * 500
    report = import_pins(handbook.catalogue.pins, "handbook", content, limit=10)
    assert (report.refused, len(report.errors)) == (500, ERRORS)


def test_the_command_imports_a_file(handbook: Knowledge, tmp_path: Path) -> None:
    file = tmp_path / "pins.csv"
    file.write_text(CSV, encoding="utf-8")
    environ = {
        "SHENQIAO_DATA_DIR": str(handbook.settings.data_dir),
        "SHENQIAO_RUN_DIR": str(handbook.settings.run_dir),
        "SHENQIAO_MODEL_ENABLED": "false",
    }
    run = CliRunner(env=environ).invoke
    done = run(shenqiao, ["pins", "import", "--base", "handbook", str(file)])
    assert (done.exit_code, done.stdout) == (1, "handbook: 2 stored, 2 refused\n")
    assert "row 3: question" in done.stderr
    unknown = run(shenqiao, ["pins", "import", "--base", "nowhere", str(file)])
    assert unknown.exit_code == 1
    assert "nowhere" in unknown.stderr


def test_a_question_that_found_nothing_is_counted_and_can_be_forgotten(
    editor: FlaskClient, handbook: Knowledge
) -> None:
    key = {"Authorization": f"Bearer {Keys.load(handbook.settings).secret('knowledge')}"}
    for query in ("比特币  多少钱？", "比特币 多少钱？", "年假有几天", "\ud800 zzz"):
        body = {"query": query, "base": "handbook", "ticket": "t", "conversation": "c-17"}
        content = json.dumps(body)
        assert editor.post("/knowledge/search", data=content, headers=key).status_code == 200
    misses = handbook.catalogue.misses
    wait_for(lambda: [miss.count for miss in misses.page("handbook")] == [2])
    (miss,) = editor.get("/knowledge/misses").get_json()["misses"]
    assert (miss["base"], miss["question"]) == ("handbook", "比特币 多少钱？")
    assert set(miss) == {"base", "question", "count", "last_at"}
    gone = editor.delete("/knowledge/misses", query_string={"question": "比特币 多少钱？"})
    assert gone.get_json() == {"forgotten": 1}
    assert misses.page(None) == []


def test_only_the_newest_misses_are_kept(knowledge: Knowledge) -> None:
    misses = knowledge.catalogue.misses
    for number in range(5):
        misses.count({("kb", f"q{number}"): 1}, keep=3)
    assert {miss.question for miss in misses.page(None)} == {"q2", "q3", "q4"}


def test_misses_can_be_switched_off(knowledge: Knowledge) -> None:
    writer = MissWriter(knowledge.catalogue.misses, keep=0)
    writer.note(Question("x"))
    assert writer.waiting == 0


def test_a_search_never_waits_for_the_writer(knowledge: Knowledge) -> None:
    """The disk stands still: more questions than may wait are noted all the same."""
    held = sqlite3.connect(knowledge.settings.data_dir / "catalogue.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    writer = MissWriter(knowledge.catalogue.misses, keep=10)
    started = time.monotonic()
    for number in range(5000):
        writer.note(Question(f"q{number}"))
    assert time.monotonic() - started < 14  # SQLite itself would wait 15 s for the lock, each time
    assert 0 < writer.waiting <= 256
    held.close()
