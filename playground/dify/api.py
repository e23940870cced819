"""What all routes of the Service API share: the app's key, errors, bodies, inputs, server-sent events."""

import hmac
import json
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, jsonify, request

from playground.dify.run import Run
from playground.dify.runs import Runs
from playground.dify.uploads import BadFile

PING_S = 10.0
TEXTS = ("text-input", "paragraph")


class ServiceError(Exception):
    """An error as Dify words it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def guard(routes: Blueprint, app_key: str) -> None:
    """Ask each request for the app's key, and turn errors into Dify's bodies."""

    @routes.before_request
    def authorize() -> None:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {app_key}".encode()):
            raise ServiceError(401, "unauthorized", "Access token is invalid")

    @routes.errorhandler(ServiceError)
    @routes.errorhandler(BadFile)
    def refused(error: ServiceError | BadFile) -> tuple[Response, int]:
        return jsonify(code=error.code, message=str(error), status=error.status), error.status


def body_of_request() -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise ServiceError(
            400,
            "bad_request",
            "The browser (or proxy) sent a request that this server could not understand.",
        )
    return body


def user_of(body: Mapping[str, Any]) -> str:
    user = str(body.get("user") or "")
    if not user:
        raise invalid("user is required")
    return user


def asker() -> str:
    """Who a GET request is for."""
    return user_of(request.args.to_dict())


def invalid(message: str) -> ServiceError:
    return ServiceError(400, "invalid_param", message)


def wrong_app(code: str) -> ServiceError:
    return ServiceError(400, code, "Please check if your app mode matches the right API route.")


def inputs_of(body: Mapping[str, Any], declared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The declared inputs of a request, checked as Dify does; all others are dropped without a word."""
    given = body.get("inputs")
    if not isinstance(given, dict):
        raise invalid("inputs is required")
    for variable in declared:
        name, value = variable["variable"], given.get(variable["variable"])
        if variable["required"] and value in (None, ""):
            raise invalid(f"{name} is required in input form")
        if variable["type"] in TEXTS and value is not None:
            _check_text(name, value, int(variable["max_length"]))
    names = {variable["variable"] for variable in declared}
    return {name: value for name, value in given.items() if name in names}


def _check_text(name: str, value: object, limit: int) -> None:
    if not isinstance(value, str):
        raise invalid(f"(type '{type(value).__name__}') {name} in input form must be a string")
    if len(value) > limit:
        raise invalid(f"{name} in input form must be less than {limit} characters")


def stream(runs: Runs, run: Run, ping_s: float) -> Response:
    return Response(_frames(runs, run, ping_s), mimetype="text/event-stream")


def _frames(runs: Runs, run: Run, ping_s: float) -> Iterator[str]:
    """Server-sent events, with a ping after each `ping_s` of silence; ends the run when the reader leaves."""
    waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    left = threading.Event()

    def produce() -> None:
        events = runs.events(run)
        try:
            for event in events:
                if left.is_set():
                    events.close()  # type: ignore[attr-defined]  # a generator, whose close is the reader's leaving
                    break
                waiting.put(event)
        finally:
            waiting.put(None)

    threading.Thread(target=produce, name="run", daemon=True).start()
    try:
        while True:
            try:
                event = waiting.get(timeout=ping_s)
            except queue.Empty:
                yield "event: ping\n\n"
                continue
            if event is None:
                return
            yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
    except GeneratorExit:
        left.set()
        run.cancelled.set()
        if run.message:
            run.message.answer = ""
        raise
