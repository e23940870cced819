"""A scripted Service API over real HTTP: the channel's tests say how each question is answered.

As hard as the real one: the row of a message is there from the start, its answer only if the reader stayed to the end.
The run itself goes on without a reader; what it said can be looked up where `keeps_runs` says so, as in newer versions.
"""

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, request

from playground.serving import Server

KEY = "app-test"
REFUSED = "refused by the script"
PING_S = 0.1  # of a silent stream: so soon is it noticed that its reader has left


@dataclass
class Script:
    """How one question is answered: text, seconds before the first event and before the text, or an error.

    The text comes in `parts`, `part_s` seconds apart; before it the nodes work, each (type, title, seconds).
    """

    text: str = ""
    first_s: float = 0.0
    seconds: float = 0.0
    files: tuple[dict[str, Any], ...] = ()  # of message_end
    message_files: tuple[dict[str, Any], ...] = ()
    empty_message: bool = False  # an error that says nothing
    status: int = 200
    code: str = ""
    run_error: bool = False
    error_after: int = 0  # parts of the text, after which the run fails
    parts: int = 2
    part_s: float = 0.0
    nodes: tuple[tuple[str, str, float], ...] = ()
    sources: tuple[dict[str, Any], ...] = ()
    model: Callable[[str], None] | None = None  # asked before the text is said, as a node would


@dataclass
class Run:
    """One run of the app."""

    message: str
    conversation: str
    user: str
    query: str
    inputs: dict[str, Any]
    files: list[dict[str, Any]] = field(default_factory=list)
    feedback: dict[str, Any] | None = None
    answer: str = ""
    status: str = "normal"
    stopped: bool = False
    began_at: float = field(default_factory=time.time)
    first_at: float = 0.0  # when its first text went out
    ended_at: float = 0.0
    outputs: str = ""  # what it said, whoever read it
    sources: list[dict[str, Any]] = field(default_factory=list)
    made: list[dict[str, Any]] = field(default_factory=list)  # files of its answer


class FakeDify:
    """`with FakeDify() as dify:`; `dify.url` is an account's `dify_url`."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.scripts: dict[str, Script] = {}
        self.default = Script()
        self.features: dict[str, Any] = {}  # what /parameters says besides the form
        self.uploads: list[tuple[str, str, bytes]] = []  # user, name, bytes
        self.asked_parameters = 0
        self.feedback_status = 200
        self.asked_feedback = 0
        self.feedback_s = 0.0
        self.held: dict[str, bytes] = {}  # files of answers, under /files/<name>
        self.keeps_runs = False
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
        app.add_url_rule("/v1/files/upload", view_func=self._upload, methods=["POST"])
        path = "/v1/messages/<message>/feedbacks"
        app.add_url_rule(path, view_func=self._feedback, methods=["POST"])
        app.add_url_rule("/v1/workflows/run/<name>", view_func=self._workflow_run)
        app.add_url_rule("/v1/parameters", view_func=self._parameters)
        app.add_url_rule("/files/<name>", view_func=self._file)
        return app

    def _chat(self) -> tuple[Response, int] | Response:
        body = request.get_json()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "unauthorized")
        script = self.scripts.get(body["query"], self.default)
        if script.status != 200:
            return _error(script.status, script.code, "" if script.empty_message else REFUSED)
        files = list(body.get("files", []))
        if any(self._upload_of(body["user"], one) is None for one in files):
            return _error(400, "invalid_param")
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
            files=files,
        )
        self.runs.append(run)
        return Response(self._events(run, script), mimetype="text/event-stream")

    def _events(self, run: Run, script: Script) -> Iterator[str]:
        """What the reader gets of the run, which has a thread of its own; the answer is kept once all was read."""
        events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_work, args=(run, script, events.put), daemon=True).start()
        while True:
            try:
                event = events.get(timeout=PING_S)
            except queue.Empty:
                yield ": working\n\n"
                continue
            if event is None:
                break
            yield event
        run.answer = run.outputs

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
                "message_files": run.made,
            }
            for run in runs
        ]
        return jsonify(data=rows, has_more=False, limit=20)

    def _conversations(self) -> Response:
        mine = [run.conversation for run in self.runs if run.user == request.args["user"]]
        return jsonify(data=[{"id": name} for name in dict.fromkeys(reversed(mine))])

    def _upload(self) -> tuple[Response, int]:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "unauthorized")
        file = request.files["file"]
        self.uploads.append((request.form["user"], file.filename or "", file.read()))
        return jsonify(id=f"upload-{len(self.uploads)}", name=file.filename), 201

    def _upload_of(self, user: str, file: dict[str, Any]) -> bytes | None:
        """What an id of this person stands for."""
        number = int(str(file.get("upload_file_id")).removeprefix("upload-") or 0)
        owner, _, data = (
            self.uploads[number - 1] if 0 < number <= len(self.uploads) else ("", "", b"")
        )
        return data if owner == user else None

    def hold(self, name: str, data: bytes) -> dict[str, Any]:
        """A file of an answer, as `Script.files` lists it."""
        self.held[name] = data
        kind = "image" if name.endswith((".png", ".jpg", ".webp")) else "document"
        return {"type": kind, "url": f"{self._server.url}/files/{name}", "filename": name}

    def _file(self, name: str) -> Response:
        return Response(self.held[name]) if name in self.held else Response(status=404)

    def _feedback(self, message: str) -> tuple[Response, int] | Response:
        self.asked_feedback += 1
        time.sleep(self.feedback_s)
        if self.feedback_status != 200:
            return _error(self.feedback_status, "busy")
        body = request.get_json()
        for run in self.runs:
            if run.message == message and run.user == body["user"]:
                run.feedback = body
                return jsonify(result="success")
        return _error(404, "not_found")

    def _workflow_run(self, name: str) -> tuple[Response, int] | Response:
        run = next((run for run in self.runs if name == f"run-{run.message}"), None)
        if run is None or not self.keeps_runs:
            return _error(404, "not_found")
        if not run.ended_at:
            return jsonify(id=name, status="running", outputs={})
        status = "failed" if run.status == "error" else "stopped" if run.stopped else "succeeded"
        return jsonify(id=name, status=status, outputs={"answer": run.outputs})

    def _parameters(self) -> tuple[Response, int] | Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "unauthorized")
        self.asked_parameters += 1
        form = [{"text-input": {"variable": "ticket", "label": "ticket"}}]
        return jsonify(user_input_form=form, **self.features)


def _work(run: Run, script: Script, tell: Callable[[str | None], None]) -> None:
    """The run from its first to its last event, then None."""
    for event in _said(run, script):
        tell(event)
    run.ended_at = time.time()
    tell(None)


def _said(run: Run, script: Script) -> Iterator[str]:
    base = {
        "task_id": f"task-{run.message}",
        "message_id": run.message,
        "conversation_id": run.conversation,
        "workflow_run_id": f"run-{run.message}",
    }
    _wait(script.first_s)
    yield _event("workflow_started", base)
    for kind, title, seconds in script.nodes:
        yield _event("node_started", base, data={"node_type": kind, "title": title})
        _wait(seconds)
    _wait(script.seconds, run)
    if script.model is not None:
        script.model(run.query)
    for one in script.message_files:
        yield _event("message_file", base, **one)
    if script.run_error:
        yield _failed(run, base, message="no")
        return
    text = script.text or f"答：{run.query}"
    run.first_at = time.time()
    size = -(-len(text) // script.parts)
    said = ""
    for part, at in enumerate(range(0, len(text), size), start=1):
        if run.stopped:
            break
        if script.error_after and part > script.error_after:
            yield _failed(run, base)
            return
        yield _event("message", base, answer=text[at : at + size])
        said += text[at : at + size]
        _wait(script.part_s, run)
    metadata = {"retriever_resources": list(script.sources)}
    run.outputs, run.sources = said, list(script.sources)
    run.made = [*script.message_files, *script.files]
    yield _event("message_end", base, metadata=metadata, files=list(script.files))


def _failed(run: Run, base: dict[str, str], **more: Any) -> str:
    run.status = "error"
    return _event("error", base, status=400, code="completion_request_error", **more)


def _wait(seconds: float, run: Run | None = None) -> None:
    """A stop ends it."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not (run is not None and run.stopped):
        time.sleep(min(0.05, left))


def _event(name: str, base: dict[str, str], **more: Any) -> str:
    body = {"event": name, **base, **more}
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _error(status: int, code: str, message: str = REFUSED) -> tuple[Response, int]:
    return jsonify(code=code, message=message, status=status), status
