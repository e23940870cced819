"""A scripted Service API over real HTTP: the channel's tests say how each question is answered.

As hard as the real one: the row of a message is there from the start, its answer only if the reader stayed to the end.
"""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, request

from playground.serving import Server

KEY = "app-test"


@dataclass
class Script:
    """How one question is answered: text, seconds before the first event and before the end, or an error."""

    text: str = ""
    first_s: float = 0.0
    seconds: float = 0.0
    status: int = 200
    code: str = ""
    run_error: bool = False
    sources: tuple[dict[str, Any], ...] = ()


@dataclass
class Run:
    """One run of the app."""

    message: str
    conversation: str
    user: str
    query: str
    inputs: dict[str, Any]
    answer: str = ""
    status: str = "normal"
    stopped: bool = False
    sources: list[dict[str, Any]] = field(default_factory=list)


class FakeDify:
    """`with FakeDify() as dify:`; `dify.url` is an account's `dify_url`."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.scripts: dict[str, Script] = {}
        self.default = Script()
        self._server = Server(self._app())

    @property
    def url(self) -> str:
        return f"{self._server.url}/v1"

    def __enter__(self) -> "FakeDify":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _app(self) -> Flask:
        app = Flask("fake_dify")
        app.add_url_rule("/v1/chat-messages", view_func=self._chat, methods=["POST"])
        app.add_url_rule("/v1/chat-messages/<task>/stop", view_func=self._stop, methods=["POST"])
        app.add_url_rule("/v1/messages", view_func=self._messages)
        app.add_url_rule("/v1/conversations", view_func=self._conversations)
        app.add_url_rule("/v1/parameters", view_func=self._parameters)
        return app

    def _chat(self) -> tuple[Response, int] | Response:
        body = request.get_json()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "unauthorized")
        script = self.scripts.get(body["query"], self.default)
        if script.status != 200:
            return _error(script.status, script.code)
        conversation = body.get("conversation_id") or ""
        known = [r for r in self.runs if r.conversation == conversation and r.user == body["user"]]
        if conversation and not known:
            return _error(404, "not_found")
        run = Run(
            message=str(uuid.uuid4()),
            conversation=conversation or str(uuid.uuid4()),
            user=body["user"],
            query=body["query"],
            inputs=dict(body["inputs"]),
        )
        self.runs.append(run)
        return Response(self._events(run, script), mimetype="text/event-stream")

    def _events(self, run: Run, script: Script) -> Iterator[str]:
        base = {
            "task_id": f"task-{run.message}",
            "message_id": run.message,
            "conversation_id": run.conversation,
        }
        yield from _wait(script.first_s)
        yield _event("workflow_started", base)
        yield from _wait(script.seconds)
        if script.run_error:
            run.status = "error"
            yield _event("error", base, status=400, code="completion_request_error", message="no")
            return
        text = script.text or f"答：{run.query}"
        yield _event("message", base, answer=text[: len(text) // 2])
        yield _event("message", base, answer=text[len(text) // 2 :])
        yield _event("message_end", base, metadata={"retriever_resources": list(script.sources)})
        run.answer, run.sources = text, list(script.sources)

    def _stop(self, task: str) -> Response:
        for run in self.runs:
            run.stopped = run.stopped or task == f"task-{run.message}"
        return jsonify(result="success")

    def _messages(self) -> tuple[Response, int] | Response:
        runs = [
            run
            for run in self.runs
            if run.conversation == request.args["conversation_id"]
            and run.user == request.args["user"]
        ]
        if not runs:
            return _error(404, "not_found")
        rows = [
            {
                "id": run.message,
                "conversation_id": run.conversation,
                "inputs": run.inputs,
                "query": run.query,
                "answer": run.answer,
                "status": run.status,
                "retriever_resources": run.sources,
            }
            for run in runs
        ]
        return jsonify(data=rows, has_more=False, limit=20)

    def _conversations(self) -> Response:
        mine = [run.conversation for run in self.runs if run.user == request.args["user"]]
        return jsonify(data=[{"id": name} for name in dict.fromkeys(reversed(mine))])

    def _parameters(self) -> tuple[Response, int] | Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "unauthorized")
        return jsonify(user_input_form=[{"text-input": {"variable": "ticket", "label": "ticket"}}])


def _wait(seconds: float) -> Iterator[str]:
    """Comments while the app works, so that a reader that left is noticed."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(0.02, left))
        yield ": working\n\n"


def _event(name: str, base: dict[str, str], **more: Any) -> str:
    body = {"event": name, **base, **more}
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _error(status: int, code: str) -> tuple[Response, int]:
    return jsonify(code=code, message="refused by the script", status=status), status
