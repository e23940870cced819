"""The Service API's routes that the channel uses, with the real one's shapes and errors."""

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify, request

from playground.dify.runs import Run, Runs
from playground.dify.store import Store, UnknownConversation
from playground.dify.uploads import LIMITS, BadFile, Uploads

PING_S = 10.0


class ServiceError(Exception):
    """An error as Dify words it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message, "status": status}
        self.status = status


def blueprint(runs: Runs, store: Store, app_key: str) -> Blueprint:
    """`/v1/…`."""
    uploads = Uploads()
    routes = Blueprint("service_api", __name__, url_prefix="/v1")

    @routes.before_request
    def authorize() -> None:
        if request.headers.get("Authorization", "") != f"Bearer {app_key}":
            raise ServiceError(401, "unauthorized", "Access token is invalid")

    @routes.errorhandler(ServiceError)
    def refused(error: ServiceError) -> tuple[Response, int]:
        return jsonify(error.body), error.status

    @routes.post("/chat-messages")
    def chat() -> Response:
        body = _body()
        run = start(runs, store, uploads, body)
        if body.get("response_mode", "blocking") == "blocking":
            return jsonify(blocking(runs, run))
        return Response(_frames(runs, run), mimetype="text/event-stream")

    @routes.post("/chat-messages/<task>/stop")
    def stop(task: str) -> Response:
        runs.stop(task, _user(_body()))
        return jsonify(result="success")

    @routes.errorhandler(BadFile)
    def refused_file(error: BadFile) -> tuple[Response, int]:
        return jsonify(code=error.code, message=str(error), status=error.status), error.status

    @routes.post("/files/upload")
    def upload() -> tuple[Response, int]:
        files = request.files.getlist("file")
        if len(files) != 1:
            code = "too_many_files" if files else "no_file_uploaded"
            raise ServiceError(400, code, "Please upload one file.")
        file, user = files[0], _user(request.form.to_dict())
        held = uploads.add(user, file.filename or "", file.mimetype, file.read())
        return jsonify(held.as_json()), 201

    _add_messages(routes, store)
    _add_app(routes, runs)
    return routes


def _add_messages(routes: Blueprint, store: Store) -> None:
    @routes.get("/messages")
    def messages() -> Response:
        rows = store.of_conversation(_asker(), request.args.get("conversation_id", ""))
        if not rows:
            raise ServiceError(404, "not_found", "Conversation Not Exists.")
        limit = request.args.get("limit", 20, int)
        first = request.args.get("first_id")
        end = next((at for at, row in enumerate(rows) if row.id == first), len(rows))
        page = rows[max(0, end - limit) : end]
        return jsonify(limit=limit, has_more=end > limit, data=[row.as_json() for row in page])

    @routes.get("/conversations")
    def conversations() -> Response:
        limit = request.args.get("limit", 20, int)
        rows = store.conversations(_asker())
        data = [
            {
                "id": r.conversation,
                "name": r.query[:40],
                "inputs": r.inputs,
                "created_at": r.created_at,
            }
            for r in rows[:limit]
        ]
        return jsonify(limit=limit, has_more=len(rows) > limit, data=data)

    @routes.post("/messages/<message_id>/feedbacks")
    def feedback(message_id: str) -> Response:
        body = _body()
        message = store.find(_user(body), message_id)
        if message is None:
            raise ServiceError(404, "not_found", "Message Not Exists.")
        rating = body.get("rating")
        message.feedback = {"rating": rating, "content": body.get("content")} if rating else None
        return jsonify(result="success")


def _add_app(routes: Blueprint, runs: Runs) -> None:
    @routes.get("/parameters")
    def parameters() -> Response:
        form = [{variable["type"]: variable} for variable in runs.workflow.variables]
        limits = {"file_size_limit": LIMITS["document"]}
        limits |= {f"{kind}_file_size_limit": LIMITS[kind] for kind in ("image", "audio", "video")}
        return jsonify(
            {**runs.workflow.features, "user_input_form": form, "system_parameters": limits}
        )

    @routes.get("/info")
    def info() -> Response:
        app = runs.workflow.raw["app"]
        return jsonify(name=app["name"], description=app["description"], mode=app["mode"], tags=[])


def start(runs: Runs, store: Store, uploads: Uploads, body: dict[str, Any]) -> Run:
    """A new message and its run; of the inputs only those that the start node declares are kept."""
    query = str(body.get("query") or "")
    if not query:
        raise ServiceError(400, "invalid_param", "query is required")
    if not isinstance(body.get("inputs"), dict):
        raise ServiceError(400, "invalid_param", "inputs is required")
    declared = {variable["variable"] for variable in runs.workflow.variables}
    inputs = {name: value for name, value in body["inputs"].items() if name in declared}
    files = uploads.of_message(_user(body), body.get("files"), runs.workflow.features)
    try:
        message = store.add(_user(body), query, inputs, str(body.get("conversation_id") or ""))
    except UnknownConversation:
        raise ServiceError(404, "not_found", "Conversation Not Exists.") from None
    message.files = files
    return runs.start(message)


def blocking(runs: Runs, run: Run) -> dict[str, Any]:
    """One body instead of events. Raises `ServiceError` for a failed run."""
    end: dict[str, Any] = {}
    for event in runs.events(run):
        if event["event"] == "error":
            raise ServiceError(event["status"], event["code"], event["message"])
        end = event
    return {
        "event": "message",
        "mode": "advanced-chat",
        "answer": run.message.answer,
        **{
            name: end[name]
            for name in ("task_id", "id", "message_id", "conversation_id", "metadata", "created_at")
        },
    }


def _frames(runs: Runs, run: Run) -> Iterator[str]:
    """Server-sent events, with a ping in each ten seconds of silence; ends the run when the reader leaves."""
    waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    left = threading.Event()

    def produce() -> None:
        events = runs.events(run)
        for event in events:
            if left.is_set():
                events.close()  # type: ignore[attr-defined]  # a generator, whose close is the reader's leaving
                break
            waiting.put(event)
        waiting.put(None)

    threading.Thread(target=produce, name="run", daemon=True).start()
    try:
        while True:
            try:
                event = waiting.get(timeout=PING_S)
            except queue.Empty:
                yield "event: ping\n\n"
                continue
            if event is None:
                return
            yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
    except GeneratorExit:
        left.set()
        run.cancelled.set()
        run.message.answer = ""
        raise


def _body() -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise ServiceError(
            400,
            "bad_request",
            "The browser (or proxy) sent a request that this server could not understand.",
        )
    return body


def _user(body: dict[str, Any]) -> str:
    user = str(body.get("user") or "")
    if not user:
        raise ServiceError(400, "invalid_param", "user is required")
    return user


def _asker() -> str:
    return _user(dict(request.args))
