"""No node of a workflow file is there in vain: each is reached by one way or another."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.playground.dify.apps import App, Apps, ScriptedServer, nodes_of
from tests.playground.dify.test_triage import sorted_as
from tests.playground.dify.test_workflows import CHOSEN, PNG, SEEING
from tests.test_workflows import NAMES


@dataclass(frozen=True)
class Way:
    """What is asked, and what the tool server does about it."""

    query: str = "年假？"
    failing_searches: int = 0
    found: bool = True
    scripts: Sequence[str | None] = ()
    file: tuple[str, str] | None = None  # its name and Dify's word for its kind
    changes: dict[str, Any] = field(default_factory=dict)


ENGLISH = "Leave?"
SEARCHES = [Way(), Way(failing_searches=2), Way(found=False), Way(ENGLISH, found=False)]
MODEL_FAILS = [Way(scripts=[None]), Way(ENGLISH, scripts=[None])]
PICTURE, DOCUMENT = ("a.png", "image"), ("a.txt", "document")
LAX = {"nodes": {"sort": {"structured_output": {"schema": {"type": "object", "properties": {}}}}}}
WAYS = {
    "knowledge_assistant": [*SEARCHES, *MODEL_FAILS],
    "streaming_assistant": SEARCHES,
    "human_handover": [*SEARCHES, *MODEL_FAILS, Way("我要投诉")],
    "picture_and_voice": [
        *SEARCHES,
        *MODEL_FAILS,
        Way(file=PICTURE),
        Way(file=PICTURE, changes=SEEING),
        Way(file=PICTURE, changes=SEEING, scripts=[None, None]),
        Way(file=DOCUMENT),
        Way(file=DOCUMENT, scripts=[None]),
    ],
    "ticket_triage": [
        *(Way(scripts=[sorted_as(one)]) for one in ("it", "hr", "facilities", "finance", "other")),
        Way(scripts=[sorted_as("it", "high")]),
        Way(scripts=[None, None]),
        Way(scripts=["{}"], changes=LAX),
    ],
    "dify_knowledge": [
        Way("年假有几天？", changes=CHOSEN),
        Way("股票代码是多少？", changes=CHOSEN),
        Way("年假有几天？", changes=CHOSEN, scripts=[None]),
    ],
}


def go(app: App, way: Way) -> list[str]:
    """The nodes that ran."""
    if app.http.get("/v1/info").json()["mode"] == "workflow":
        return nodes_of(app.stream("workflows/run", inputs={"request": way.query}))
    files = []
    if way.file is not None:
        name, kind = way.file
        files = [app.upload(name, PNG, "image/png", kind)]
    return nodes_of(app.ask(way.query, files=files))


@pytest.mark.parametrize("name", NAMES)
def test_every_node_is_reached(apps: Apps, scripted: ScriptedServer, name: str) -> None:
    reached: set[str] = set()
    for way in WAYS[name]:
        scripted.reset()
        scripted.failing_searches, scripted.found = way.failing_searches, way.found
        scripted.scripts = list(way.scripts)
        reached |= set(go(apps.open(name, way.changes), way))
    assert reached == set(apps.nodes(name))
