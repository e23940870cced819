"""The OpenAI wire: `/v1/chat/completions` and `/v1/models`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import ValidationError

from tool_server.auth import Keys
from tool_server.caller import Caller
from tool_server.errors import ApiError, BadRequest, NotFound
from tool_server.limits import Limits, Place, estimate
from tool_server.model import reply
from tool_server.model.backend import Asked, Backend, Running
from tool_server.model.moderation.moderated import moderated
from tool_server.model.moderation.service import Moderation
from tool_server.model.request import Unfitting, Unsupported
from tool_server.settings import Settings


def blueprint(
    settings: Settings,
    keys: Keys,
    limits: Limits,
    registry: CollectorRegistry,
    backend: Backend[Any],
    moderation: Moderation,
    others: Callable[[], Sequence[Mapping[str, object]]],
) -> Blueprint:
    """Routes with a key of the scope `model`; `others` gives the entries of the models that are served besides."""
    routes = Blueprint("model", __name__, url_prefix="/v1")
    metrics = _Metrics(registry)

    @routes.get("/models")
    def models() -> Response:
        key = keys.require("model")
        served = [_describe(settings.model_name, backend), *others()]
        return jsonify(object="list", data=[m for m in served if key.may_use(str(m["id"]))])

    @routes.post("/chat/completions")
    def chat_completions() -> Response:
        key = keys.require("model")
        try:
            asked = read_request(backend, settings.model_name)
            key.require_model(asked.model)
            place = limits.enter(key, _most_tokens(asked, settings))
        except ApiError as error:
            metrics.requests.labels(str(error.status)).inc()
            raise
        with place:
            return answer_chat(asked, place)

    def answer_chat(asked: Asked, place: Place) -> Response:
        try:
            answer = moderated(moderation, asked, backend)
        except ApiError as error:
            metrics.requests.labels(str(error.status)).inc()
            raise
        metrics.requests.labels("200").inc()
        place.meter(lambda: answer.prompt_tokens + answer.completion_tokens)
        if asked.stream:
            usage = asked.stream_options is None or asked.stream_options.include_usage
            caller = Caller()
            events = reply.stream(answer, settings.model_name, caller.gone, usage=usage)
            kept = place.keep(metrics.watch(answer, events))
            response = Response(kept, mimetype="text/event-stream")
            response.call_on_close(answer.close)  # a client may leave before the first piece
            return response
        body = reply.whole(answer, settings.model_name, Caller().gone)
        metrics.finished(answer)
        return jsonify(body)

    return routes


def read_request(backend: Backend[Any], served: str) -> Asked:
    """The body, checked. Raises `BadRequest` naming the field, and `NotFound` for another model."""
    body = request.get_json(force=True)
    try:
        asked: Asked = backend.read(body)
    except ValidationError as error:
        raise _named(error) from None
    if asked.model != served:
        raise NotFound(
            f"The model {asked.model[:64]!r} is not served here.",
            code="model_not_found",
            param="model",
        )
    return asked


def _most_tokens(asked: Asked, settings: Settings) -> int:
    """What prompt and answer may need together; what they did need is counted at the end."""
    wanted = asked.max_completion_tokens or asked.max_tokens or settings.model_default_max_tokens
    return estimate(request.get_data()) + min(wanted, settings.model_max_tokens)


def _describe(name: str, backend: Backend[Any]) -> dict[str, object]:
    """A model as OpenAI lists it, with what Dify's package reads besides."""
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "shenqiao",
        "type": "llm",
        **backend.describe(),
    }


def _named(error: ValidationError) -> BadRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, Unsupported):
        return BadRequest(str(cause), code="unsupported_parameter", param=cause.field)
    if isinstance(cause, Unfitting):
        return BadRequest(str(cause), param=cause.field)
    field = ".".join(str(part) for part in first["loc"]) or "body"
    return BadRequest(f"{field}: {first['msg']}", param=field)


class _Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "shenqiao_model_requests_total",
            "Chat requests by HTTP status.",
            ["code"],
            registry=registry,
        )
        self._first_token = Histogram(
            "shenqiao_model_first_token_seconds",
            "From a request until its first token.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
            registry=registry,
        )
        self._tokens = Counter(
            "shenqiao_model_tokens_total",
            "Tokens by kind: prompt, completion.",
            ["kind"],
            registry=registry,
        )

    def watch(self, answer: Running, events: Iterator[str]) -> Iterator[str]:
        try:
            yield from events
        finally:
            self.finished(answer)

    def finished(self, answer: Running) -> None:
        self._tokens.labels("prompt").inc(answer.prompt_tokens)
        self._tokens.labels("completion").inc(answer.completion_tokens)
        if answer.first_token_s is not None:
            self._first_token.observe(answer.first_token_s)
