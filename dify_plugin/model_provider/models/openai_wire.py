"""The only HTTP client of package B: models and streamed completions of the tool server, errors by their class."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import gevent
import httpx
from dify_plugin.errors.model import (
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)
from pydantic import BaseModel, ConfigDict, ValidationError

CHECK_S = 8.0
CONNECT_S = 5.0
# Between two lines; the tool server sends a comment each second, so silence means that it is gone.
SILENCE_S = 60.0
# The whole answer; the daemon ends a call after 600 s and would write its own words into it.
ANSWER_S = 580.0
WRONG_KEY = "The tool server does not know this key: copy it from keys.json again."
NOT_OURS = "This address does not answer like a Shenqiao model server: check the URL."
# Dify shows an error's class by its name, so that each is its own cause.
ERRORS: dict[type[InvokeError], list[type[Exception]]] = {
    kind: [kind]
    for kind in (
        InvokeConnectionError,
        InvokeServerUnavailableError,
        InvokeRateLimitError,
        InvokeAuthorizationError,
        InvokeBadRequestError,
    )
}


class Wire(BaseModel):
    """Read once where it comes in; fields that nobody here needs are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Delta(Wire):
    content: str | None = None
    reasoning_content: str | None = None


class Choice(Wire):
    delta: Delta | None = None
    finish_reason: str | None = None


class Usage(Wire):
    prompt_tokens: int
    completion_tokens: int


class Fault(Wire):
    message: str


class Event(Wire):
    """One event of a completion. The last ones carry the reason for the end, and the usage."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Fault | None = None


class Model(Wire):
    id: str


class Models(Wire):
    data: list[Model]


class Failed(Wire):
    """The body of an error."""

    error: Fault


class ModelServer:
    """A tool server with the key that was entered for it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.strip().rstrip("/").removesuffix("/v1")
        self._key = key.strip()

    def __repr__(self) -> str:
        return f"ModelServer({self._url!r})"

    @classmethod
    def of(cls, credentials: Mapping[str, Any]) -> ModelServer:
        return cls(str(credentials.get("server_url") or ""), str(credentials.get("api_key") or ""))

    def models(self) -> list[str]:
        """What is served; also the check of URL and key. Raises an `InvokeError` with a sentence."""
        headers = self._headers()
        with _translated(), gevent.Timeout(CHECK_S, httpx.ReadTimeout("late")):
            response = _pool().get(f"{self._url}/v1/models", headers=headers, timeout=CHECK_S)
        _refuse_errors(response)
        try:
            return [model.id for model in Models.model_validate_json(response.content).data]
        except ValidationError:
            raise InvokeBadRequestError(NOT_OURS) from None

    def stream(
        self, body: Mapping[str, Any], *, clock: Callable[[], float] = time.monotonic
    ) -> Generator[Event, None, None]:
        """The events of a whole completion. Raises an `InvokeError` with a sentence, also when it ends too early."""
        with (
            _translated(),
            _pool().stream(
                "POST",
                f"{self._url}/v1/chat/completions",
                headers=self._headers(),
                json=dict(body),
                timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            ) as response,
        ):
            if response.status_code != 200:
                response.read()
            _refuse_errors(response)
            yield from _events(response, clock)

    def _headers(self) -> dict[str, str]:
        if not (self._key.isascii() and self._key.isprintable()):
            raise InvokeAuthorizationError(WRONG_KEY)
        return {"Authorization": f"Bearer {self._key}"}


def _events(response: httpx.Response, clock: Callable[[], float]) -> Generator[Event, None, None]:
    """An answer that stops before its reason for the end is none: a cut one would look like a right one."""
    deadline = clock() + ANSWER_S
    ended = False
    for line in response.iter_lines():
        if clock() > deadline:
            raise InvokeServerUnavailableError("The model did not finish in time.")
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        event = _event(data)
        ended = ended or any(choice.finish_reason for choice in event.choices or [])
        yield event
    if not ended:
        raise InvokeServerUnavailableError("The model's answer was cut off.")


def _event(data: str) -> Event:
    try:
        event = Event.model_validate_json(data)
    except ValidationError:
        raise InvokeServerUnavailableError(NOT_OURS) from None
    if event.error is not None:
        raise InvokeServerUnavailableError(event.error.message)
    return event


@contextmanager
def _translated() -> Generator[None, None, None]:
    """Faults on the way as Dify's errors, without addresses."""
    try:
        yield
    except httpx.TimeoutException:
        raise InvokeConnectionError("The model server did not answer in time.") from None
    except httpx.RemoteProtocolError:
        raise InvokeConnectionError("The model's answer was cut off.") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError):
        raise InvokeConnectionError(
            "The model server cannot be reached: check the URL and that it runs."
        ) from None


def _refuse_errors(response: httpx.Response) -> None:
    """The error of a status: its class tells Dify what to do, its sentence tells people."""
    status = response.status_code
    if status == 200:
        return
    if status == 401:
        raise InvokeAuthorizationError(WRONG_KEY)
    if status == 403:
        raise InvokeAuthorizationError(
            'This key does not open the model: enter the one with the scope "model".'
        )
    if status == 429:
        busy = _message(response, "The model is busy.")
        raise InvokeRateLimitError(f"{busy} Try again in {_wait(response)} seconds.")
    if status >= 500:
        raise InvokeServerUnavailableError(_message(response, "The model server is away."))
    raise InvokeBadRequestError(_message(response, NOT_OURS))


def _wait(response: httpx.Response) -> str:
    after = response.headers.get("Retry-After", "")
    return after if after.isdigit() else "a few"


def _message(response: httpx.Response, otherwise: str) -> str:
    """The tool server's sentence; something else in between may have answered."""
    try:
        return Failed.model_validate_json(response.content).error.message
    except ValidationError:
        return otherwise


@cache
def _pool() -> httpx.Client:
    """One pool of connections for this process."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=200))
