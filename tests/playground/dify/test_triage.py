"""Ticket triage, run as it is: every department, and every way on which a request goes to a person."""

import json

import pytest

from tests.playground.dify.apps import (
    App,
    Apps,
    ScriptedServer,
    nodes_of,
)


@pytest.fixture
def triage(apps: Apps) -> App:
    return apps.open("ticket_triage")


def sorted_as(category: str, urgency: str = "normal") -> str:
    found = {"category": category, "urgency": urgency, "summary": "一句话"}
    return json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize(
    ("category", "team"),
    [
        ("it", "IT 服务台"),
        ("hr", "人力资源部"),
        ("facilities", "行政部"),
        ("finance", "财务部"),
        ("other", "综合服务台"),
    ],
)
def test_a_request_goes_to_its_department(
    triage: App, scripted: ScriptedServer, category: str, team: str
) -> None:
    scripted.scripts = [sorted_as(category)]
    done = triage.work(request="VPN 连不上")
    assert done["status"] == "succeeded"
    outputs = done["outputs"]
    assert outputs["team"].startswith(team)
    assert {name: outputs[name] for name in ("category", "urgency", "summary")} == {
        "category": category,
        "urgency": "normal",
        "summary": "一句话",
    }
    assert outputs["message"].startswith("已收到您的请求")
    assert [source["title"] for source in outputs["sources"]] == ["员工手册 › 年假"]


def test_an_urgent_request_goes_to_whoever_is_on_duty(
    triage: App, scripted: ScriptedServer
) -> None:
    scripted.scripts = [sorted_as("it", "high")]
    assert triage.work(request="机房进水了")["outputs"]["team"].startswith("值班负责人")


def test_the_model_is_held_to_the_schema(triage: App, scripted: ScriptedServer) -> None:
    scripted.scripts = [sorted_as("it")]
    triage.work(request="VPN 连不上")
    schema = scripted.chats[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["urgency"]["enum"] == ["high", "normal", "low"]


def test_a_request_is_sorted_without_the_documents_too(
    triage: App, scripted: ScriptedServer
) -> None:
    scripted.failing_searches = 2
    scripted.scripts = [sorted_as("hr")]
    outputs = triage.work(request="年假")["outputs"]
    assert outputs["team"].startswith("人力资源部")
    assert outputs["sources"] is None


@pytest.mark.parametrize("scripts", [[None, None], ["no object", sorted_as("cars")]])
def test_a_request_that_the_model_cannot_sort_goes_to_a_person(
    triage: App, scripted: ScriptedServer, scripts: list[str | None]
) -> None:
    scripted.scripts = scripts
    outputs = triage.work(request="VPN 连不上")["outputs"]
    assert outputs["team"].startswith("综合服务台")
    assert outputs["message"].startswith("已收到您的请求，将由人工处理")
    assert "a person will look at it" in outputs["message"]


def test_a_sorting_that_failed_once_is_tried_again(triage: App, scripted: ScriptedServer) -> None:
    scripted.scripts = [None, sorted_as("hr")]
    assert triage.work(request="年假")["outputs"]["category"] == "hr"


def test_an_empty_object_goes_to_a_person_too(apps: Apps, scripted: ScriptedServer) -> None:
    """Older versions of Dify go on with nothing where the model wrote no object."""
    lax = {"structured_output": {"schema": {"type": "object", "properties": {}}}}
    scripted.scripts = ["{}"]
    app = apps.open("ticket_triage", {"nodes": {"sort": lax}})
    events = app.stream("workflows/run", inputs={"request": "VPN"})
    assert nodes_of(events)[-1] == "end_unsorted"
    assert events[-1]["data"]["outputs"]["message"].startswith("已收到您的请求，将由人工处理")
