"""The only HTTP client of package B: the tool server's routes below `/v1`; every call has a deadline."""

from __future__ import annotations

import hashlib
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
    InvokeServerUnavailableError,
)
from models import address, faults
from models.shapes import Embeddings, Event, Model, Models, Moderation, Ranking, Transcript, Wire
from pydantic import ValidationError

CHECK_S = 8.0
CONNECT_S = 5.0
# Between two lines; the tool server sends a comment each second, so silence means that it is gone.
SILENCE_S = 60.0
# The whole answer; the daemon ends a call after 600 s and would write its own words into it.
ANSWER_S = 580.0
# Whole calls on the longest input that the server takes, on a CPU.
EMBED_S = 300.0
RANK_S = 120.0
SPEECH_S = 300.0
MODERATE_S = 60.0
# A model that is still being loaded, or busy, says when to come back: so long it is waited for.
PATIENCE_S = 30.0
COME_BACK = (429, 503)


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

    @property
    def identity(self) -> str:
        """Tells servers and keys apart without saying the key."""
        return hashlib.sha256(f"{self._url}\0{self._key}".encode()).hexdigest()

    def check(self) -> list[Model]:
        """What is served; also whether URL and key are right. Raises an `InvokeError` that says what to change."""
        address.check(self._url)
        return self.models()

    def models(self, *, within_s: float = CHECK_S) -> list[Model]:
        """What is served. Raises an `InvokeError` with a sentence."""
        headers = self._headers()
        with _translated(), gevent.Timeout(within_s, httpx.ReadTimeout("late")):
            response = _pool().get(f"{self._url}/v1/models", headers=headers, timeout=within_s)
        _refuse_errors(response)
        try:
            return Models.model_validate_json(response.content).data
        except ValidationError:
            raise InvokeBadRequestError(faults.NOT_OURS) from None

    def embed(self, model: str, texts: list[str]) -> Embeddings:
        """One vector for each text. Raises an `InvokeError` with a sentence, as the other calls do."""
        asked = {"model": model, "input": texts, "encoding_format": "float"}
        return self._ask("embeddings", Embeddings, EMBED_S, json=asked)

    def rank(self, model: str, query: str, documents: list[str], top_n: int) -> Ranking:
        asked = {"model": model, "query": query, "documents": documents, "top_n": top_n}
        return self._ask("rerank", Ranking, RANK_S, json={**asked, "return_documents": False})

    def transcribe(self, model: str, name: str, recording: bytes) -> Transcript:
        form = {"data": {"model": model, "response_format": "json"}}
        files = {"file": (name, recording)}
        return self._ask("audio/transcriptions", Transcript, SPEECH_S, **form, files=files)

    def moderate(self, model: str, text: str) -> Moderation:
        asked = {"model": model, "input": text}
        return self._ask("moderations", Moderation, MODERATE_S, json=asked)

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

    def _ask[T: Wire](self, path: str, shape: type[T], within_s: float, **content: Any) -> T:
        headers = self._headers()
        timeout = httpx.Timeout(within_s, connect=CONNECT_S)
        with _translated(), gevent.Timeout(within_s, httpx.ReadTimeout("late")):
            response = _patiently(
                lambda: _pool().post(
                    f"{self._url}/v1/{path}", headers=headers, timeout=timeout, **content
                )
            )
        _refuse_errors(response)
        try:
            return shape.model_validate_json(response.content)
        except ValidationError:
            raise InvokeServerUnavailableError(faults.NOT_OURS) from None

    def _headers(self) -> dict[str, str]:
        if not (self._key.isascii() and self._key.isprintable()):
            raise InvokeAuthorizationError(faults.WRONG_KEY)
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
        raise InvokeServerUnavailableError(faults.NOT_OURS) from None
    if event.error is not None:
        raise InvokeServerUnavailableError(event.error.message)
    return event


def _patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer; one that says when to come back is asked again, until `PATIENCE_S` is used up.

    Dify gives up a document whose first embedding fails, and the first call is what makes the server load the model.
    """
    left = PATIENCE_S
    while True:
        response = ask()
        pause = _retry_after(response) if response.status_code in COME_BACK else None
        if pause is None or pause > left:
            return response
        time.sleep(pause)
        left -= max(pause, 1)


@contextmanager
def _translated() -> Generator[None, None, None]:
    """Faults on the way as Dify's errors, without addresses."""
    try:
        yield
    except httpx.TimeoutException:
        raise InvokeConnectionError("The model server did not answer in time.") from None
    except httpx.RemoteProtocolError as error:
        cut = "The model's answer was cut off."
        raise InvokeConnectionError(address.fault_of(error) or cut) from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
        away = "The model server cannot be reached: check the URL and that it runs."
        raise InvokeConnectionError(address.fault_of(error) or away) from None


def _refuse_errors(response: httpx.Response) -> None:
    status = response.status_code
    if status != 200:
        raise faults.of_status(status, response.content, _retry_after(response))


def _retry_after(response: httpx.Response) -> int | None:
    """Whole seconds; None when the server named none, or a date."""
    after = response.headers.get("Retry-After", "")
    return int(after) if after.isascii() and after.isdigit() else None


@cache
def _pool() -> httpx.Client:
    """One pool of connections for this process."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=200))
