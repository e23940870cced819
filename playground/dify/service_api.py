"""The Service API's routes of a chatflow, and those of every app, with the real one's shapes and errors."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from playground.dify.api import (
    PING_S,
    ServiceError,
    asker,
    body_of_request,
    guard,
    inputs_of,
    invalid,
    stream,
    user_of,
    wrong_app,
)
from playground.dify.run import Run
from playground.dify.runs import Runs
from playground.dify.store import Store, UnknownConversation
from playground.dify.uploads import LIMITS, Uploads
from playground.dify.workflow_api import add_workflow


def blueprint(runs: Runs, store: Store, app_key: str, ping_s: float = PING_S) -> Blueprint:
    """`/v1/…`."""
    uploads = Uploads()
    routes = Blueprint("service_api", __name__, url_prefix="/v1")
    guard(routes, app_key)
    _add_chat(routes, runs, store, uploads, ping_s)
    add_workflow(routes, runs, uploads, ping_s)
    _add_messages(routes, store)
    _add_conversations(routes, store)
    _add_files(routes, uploads)
    _add_app(routes, runs)
    return routes


def _add_chat(routes: Blueprint, runs: Runs, store: Store, uploads: Uploads, ping_s: float) -> None:
    @routes.post("/chat-messages")
    def chat() -> Response:
        body = body_of_request()
        run = start(runs, store, uploads, body)
        if body.get("response_mode", "blocking") == "blocking":
            return jsonify(blocking(runs, run))
        return stream(runs, run, ping_s)

    @routes.post("/chat-messages/<task>/stop")
    def stop(task: str) -> Response:
        _must_chat(runs)
        runs.stop(task, user_of(body_of_request()))
        return jsonify(result="success")


def _add_files(routes: Blueprint, uploads: Uploads) -> None:
    @routes.post("/files/upload")
    def upload() -> tuple[Response, int]:
        files = request.files.getlist("file")
        if len(files) != 1:
            code = "too_many_files" if files else "no_file_uploaded"
            raise ServiceError(400, code, "Please upload one file.")
        file, user = files[0], user_of(request.form.to_dict())
        held = uploads.add(user, file.filename or "", file.mimetype, file.read())
        return jsonify(held.as_json()), 201


def _add_messages(routes: Blueprint, store: Store) -> None:
    @routes.get("/messages")
    def messages() -> Response:
        rows = store.of_conversation(asker(), request.args.get("conversation_id", ""))
        if not rows:
            raise ServiceError(404, "not_found", "Conversation Not Exists.")
        limit = request.args.get("limit", 20, int)
        first = request.args.get("first_id")
        end = next((at for at, row in enumerate(rows) if row.id == first), len(rows))
        page = rows[max(0, end - limit) : end]
        return jsonify(limit=limit, has_more=end > limit, data=[row.as_json() for row in page])

    @routes.post("/messages/<message_id>/feedbacks")
    def feedback(message_id: str) -> Response:
        body = body_of_request()
        message = store.find(user_of(body), message_id)
        if message is None:
            raise ServiceError(404, "not_found", "Message Not Exists.")
        rating = body.get("rating")
        if rating not in ("like", "dislike", None):
            raise invalid("rating must be one of like, dislike")
        message.feedback = {"rating": rating, "content": body.get("content")} if rating else None
        return jsonify(result="success")

    @routes.get("/messages/<message_id>/suggested")
    def suggested(message_id: str) -> Response:
        if store.find(asker(), message_id) is None:
            raise ServiceError(404, "not_found", "Message Not Exists.")
        raise ServiceError(400, "bad_request", "Suggested Questions Is Disabled.")


def _add_conversations(routes: Blueprint, store: Store) -> None:
    @routes.get("/conversations")
    def conversations() -> Response:
        limit = request.args.get("limit", 20, int)
        rows = store.conversations(asker())
        data = [row.as_conversation() for row in rows[:limit]]
        return jsonify(limit=limit, has_more=len(rows) > limit, data=data)

    @routes.delete("/conversations/<conversation>")
    def delete(conversation: str) -> Response:
        if not store.forget(user_of(body_of_request()), conversation):
            raise ServiceError(404, "not_found", "Conversation Not Exists.")
        return Response(status=204)


def _add_app(routes: Blueprint, runs: Runs) -> None:
    @routes.get("/parameters")
    def parameters() -> Response:
        form = [{variable["type"]: variable} for variable in runs.workflow.variables]
        limits = {"file_size_limit": LIMITS["document"]}
        limits |= {f"{kind}_file_size_limit": LIMITS[kind] for kind in ("image", "audio", "video")}
        off = {name: {"enabled": False} for name in ("annotation_reply", "more_like_this")}
        told = {**off, **runs.workflow.features}
        return jsonify({**told, "user_input_form": form, "system_parameters": limits})

    @routes.get("/info")
    def info() -> Response:
        app = runs.workflow.raw["app"]
        told = {name: app[name] for name in ("name", "description", "mode")}
        return jsonify({**told, "tags": [], "author_name": "playground"})

    @routes.get("/meta")
    def meta() -> Response:
        return jsonify(tool_icons={})


def _must_chat(runs: Runs) -> None:
    if runs.workflow.mode != "advanced-chat":
        raise wrong_app("not_chat_app")


def start(runs: Runs, store: Store, uploads: Uploads, body: dict[str, Any]) -> Run:
    """A new message and its run; of the inputs only those that the start node declares are kept."""
    _must_chat(runs)
    query = str(body.get("query") or "")
    if not query:
        raise invalid("query is required")
    inputs = inputs_of(body, runs.workflow.variables)
    user = user_of(body)
    files = uploads.of_message(user, body.get("files"), runs.workflow.features)
    try:
        message = store.add(user, query, inputs, str(body.get("conversation_id") or ""))
    except UnknownConversation:
        raise ServiceError(404, "not_found", "Conversation Not Exists.") from None
    message.files = [file.as_message_file() for file in files]
    return runs.add(Run(runs.workflow_id, user, inputs, query=query, files=files, message=message))


def blocking(runs: Runs, run: Run) -> dict[str, Any]:
    """One body instead of events. Raises `ServiceError` for a failed run."""
    end: dict[str, Any] = {}
    for event in runs.events(run):
        if event["event"] == "error":
            raise ServiceError(event["status"], event["code"], event["message"])
        end = event
    assert run.message is not None
    names = ("task_id", "id", "message_id", "conversation_id", "metadata", "created_at")
    told = {name: end[name] for name in names}
    return {"event": "message", "mode": "advanced-chat", "answer": run.message.answer, **told}
