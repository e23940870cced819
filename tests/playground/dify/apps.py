"""All workflow files over HTTP, each as an app of its own; both packages under the real SDK serve them all."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx
from flask import Response, request

from playground.dify.__main__ import create_app, validate
from playground.dify.packages import Packages
from playground.dify.workflow import Workflow
from playground.serving import Server
from tests.fakes.tool_server import KEY, FakeToolServer

ROOT = Path(__file__).parents[3]
USER = "zhang"
APP_KEY = "app-k"
OTHER = "langgenius/openai_api_compatible/openai_api_compatible"
# A comment and the first part of the text.
PARTS_BEFORE = 2
WAIT_S = 30.0
HANDBOOK = {
    "name": "手册",
    "documents": {"员工手册": "年假：员工每年有 12 天年假。\n\n停车：每月 120 元。"},
}


class ScriptedServer(FakeToolServer):
    """Answers each chat from `scripts`, in order; then from `deltas` as ever. A script of None is a failure."""

    def __init__(self) -> None:
        self.scripts: list[str | None] = []
        self.failing_searches = 0
        self.go_on = threading.Event()  # the second part of a chat's text waits for it
        super().__init__()
        self.reset()

    def __enter__(self) -> Self:
        return self

    def reset(self) -> None:
        self.found, self.status, self.slow_s, self.break_stream = True, 200, 0.0, False
        self.deltas = [{"content": "12 "}, {"content": "天"}]
        self.failing_searches = 0
        self.go_on.set()
        for seen in (self.scripts, self.searches, self.chats):
            seen.clear()

    def _gate(self) -> tuple[Response, int] | None:
        if request.path == "/knowledge/search" and self.failing_searches:
            self.failing_searches -= 1
            return self._error(503, "by script")
        return super()._gate()

    def _events(self) -> Iterator[str]:
        if self.scripts:
            script = self.scripts.pop(0)
            self.break_stream = script is None
            self.deltas = [{"content": script or ""}]
        for number, frame in enumerate(super()._events()):
            if number == PARTS_BEFORE:
                self.go_on.wait(WAIT_S)
            yield frame


class App:
    """One app with its key."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.url = f"{str(http.base_url).rstrip('/')}/v1"

    def stream(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """The events of a streamed run."""
        content = {"user": USER, "inputs": {}, "response_mode": "streaming", **body}
        answer = self.http.post(f"/v1/{path}", json=content)
        answer.raise_for_status()
        parts = [part for part in answer.text.split("\n\n") if part]
        return [json.loads(part.removeprefix("data: ")) for part in parts]

    @contextlib.contextmanager
    def watch(self, query: str = "年假有几天？") -> Iterator[Iterator[dict[str, Any]]]:
        """The events of a streamed message as they come."""
        body = {"query": query, "user": USER, "inputs": {}, "response_mode": "streaming"}
        with self.http.stream("POST", "/v1/chat-messages", json=body) as stream:
            lines = (line for line in stream.iter_lines() if line.startswith("data: "))
            yield (json.loads(line.removeprefix("data: ")) for line in lines)

    def ask(self, query: str = "年假有几天？", **more: Any) -> list[dict[str, Any]]:
        return self.stream("chat-messages", query=query, **more)

    def work(self, **inputs: Any) -> dict[str, Any]:
        """What a workflow app's run ended with."""
        body = {"user": USER, "inputs": inputs, "response_mode": "blocking"}
        answer = self.http.post("/v1/workflows/run", json=body).raise_for_status()
        return dict(answer.json()["data"])

    def upload(self, name: str, data: bytes, mime: str, kind: str) -> dict[str, str]:
        """A file as a message names it."""
        files = {"file": (name, data, mime)}
        answer = self.http.post("/v1/files/upload", files=files, data={"user": USER})
        upload_id = answer.raise_for_status().json()["id"]
        return {"type": kind, "transfer_method": "local_file", "upload_file_id": upload_id}


class Apps:
    """`with Apps(server.url, logs) as apps:`; each app is made when it is first asked for."""

    def __init__(
        self, server_url: str, logs: Path, *, knowledge: str = KEY, model: str = KEY
    ) -> None:
        self._url = server_url
        self._model_key = model
        self._packages = Packages(
            ROOT,
            ROOT / "dify_plugin" / "model_provider",
            knowledge={"server_url": server_url, "api_key": knowledge},
            model={"server_url": server_url, "api_key": model},
            logs=logs,
        )
        self._open = contextlib.ExitStack()
        self._apps: dict[str, App] = {}

    def __enter__(self) -> Self:
        self._open.callback(self._packages.stop)
        validate(self._packages)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def nodes(self, name: str) -> list[str]:
        """The ids of all nodes of a file."""
        workflow = Workflow(ROOT / "workflows" / f"{name}.yml")
        return [node["id"] for node in workflow.raw["workflow"]["graph"]["nodes"]]

    def open(
        self, name: str, changes: Mapping[str, Any] | None = None, *, ping_s: float = 10.0
    ) -> App:
        """The app of a file, with what an administrator changes after the import."""
        config = {
            "workflow": str(ROOT / "workflows" / f"{name}.yml"),
            "app_key": APP_KEY,
            "endpoint": {"hook": "hookhookhookhook", "server_url": self._url, "account": "demo"},
            "changes": changes or {},
            "models": {
                OTHER: {
                    "url": f"{self._url}/v1",
                    "api_key": self._model_key,
                    "features": ["vision"],
                }
            },
            "datasets": {"manual": HANDBOOK},
            "ping_s": ping_s,
        }
        known = json.dumps(config, sort_keys=True)
        if known not in self._apps:
            served = self._open.enter_context(Server(create_app(config, self._packages)))
            http = httpx.Client(
                base_url=served.url,
                headers={"Authorization": f"Bearer {APP_KEY}"},
                trust_env=False,
                timeout=60,
            )
            self._apps[known] = App(self._open.enter_context(http))
        return self._apps[known]


def answer_of(events: list[dict[str, Any]]) -> str:
    """What a person has read at the end."""
    text = ""
    for event in events:
        if event["event"] == "message":
            text += event["answer"]
        elif event["event"] == "message_replace":
            text = event["answer"]
    return text


def sources_of(events: list[dict[str, Any]]) -> list[str]:
    resources = events[-1]["metadata"]["retriever_resources"]
    return [resource["document_name"] for resource in resources]


def nodes_of(events: list[dict[str, Any]]) -> list[str]:
    """The nodes that ran, in their order, by id."""
    return [event["data"]["node_id"] for event in events if event["event"] == "node_started"]
