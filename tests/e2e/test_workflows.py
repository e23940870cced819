"""All workflow files with the real packages, the real tool server and the demo model behind them."""

from collections.abc import Iterator
from typing import Any

import pytest

from playground.stage import Stage
from tests.playground.dify.apps import OTHER, Apps, answer_of, sources_of

PARKING = "停车多少钱？"
OURS_AS_THEIRS: dict[str, Any] = {
    "nodes": {
        "retrieve": {"dataset_ids": ["manual"]},
        "model": {
            "model": {
                "provider": OTHER,
                "name": "private-deepseek",
                "mode": "chat",
                "completion_params": {},
            }
        },
    }
}


@pytest.fixture(scope="module")
def apps(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    stage.wait_ready()
    keys = {"knowledge": stage.key("knowledge"), "model": stage.key("model")}
    with Apps(stage.server_url, tmp_path_factory.mktemp("logs"), **keys) as apps:
        yield apps


@pytest.mark.parametrize(
    "name",
    ["knowledge_assistant", "picture_and_voice", "human_handover", "streaming_assistant"],
)
def test_the_handbook_answers_with_its_source(apps: Apps, name: str) -> None:
    app = apps.open(name)
    events = app.ask(PARKING)
    assert "120 元" in answer_of(events)
    assert any("停车" in source for source in sources_of(events))
    assert answer_of(app.ask("公司股票代码是多少？")).startswith("抱歉")


def test_a_document_is_read_by_the_model(apps: Apps) -> None:
    app = apps.open("picture_and_voice")
    text = "[1] 停车\n员工停车每月 150 元。".encode()
    sent = app.upload("通知.txt", text, "text/plain", "document")
    events = app.ask(PARKING, files=[sent])
    assert answer_of(events)
    assert events[-2]["data"]["status"] == "succeeded"


def test_a_request_is_sorted_within_the_schema(apps: Apps) -> None:
    done = apps.open("ticket_triage").work(request="停车费每月多少钱？")
    assert done["status"] == "succeeded"
    outputs = done["outputs"]
    assert outputs["category"] in ("it", "hr", "facilities", "finance", "other")
    assert outputs["urgency"] in ("high", "normal", "low")
    assert outputs["team"]
    assert any("停车" in source["title"] for source in outputs["sources"])


def test_difys_own_knowledge_needs_neither_package(apps: Apps) -> None:
    events = apps.open("dify_knowledge", OURS_AS_THEIRS).ask("年假有几天？")
    assert answer_of(events)
    assert sources_of(events) == ["员工手册"]
    assert events[-2]["data"]["status"] == "succeeded"
