"""The only HTTP client of package B: models and streamed completions of the tool server, errors by their class."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from functools import cache
from typing import Any

import httpx
from dify_plugin.errors.model import (
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)

CHECK_S = 8.0
# Between two events; the tool server sends a comment each second, so silence means that it is gone.
SILENCE_S = 60.0
CONNECT_S = 5.0
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


class ModelServer:
    """A tool server with the key that was entered for it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.strip().rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {key.strip()}"}

    def __repr__(self) -> str:
        return f"ModelServer({self._url!r})"

    @classmethod
    def of(cls, credentials: Mapping[str, Any]) -> ModelServer:
        return cls(str(credentials.get("server_url") or ""), str(credentials.get("api_key") or ""))

    def models(self) -> list[dict[str, Any]]:
        """What is served; also the check of URL and key. Raises an `InvokeError` with a sentence."""
        try:
            response = client().get(
                f"{self._url}/v1/models", headers=self._headers, timeout=CHECK_S
            )
            if response.status_code >= 400:
                raise _error(response)
            return list(response.json()["data"])
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _unreachable() from None
        except (ValueError, KeyError, TypeError):
            raise InvokeBadRequestError(
                "This address is not a Shenqiao model server: check the URL."
            ) from None

    def stream(self, body: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The events of a completion. Raises an `InvokeError` with a sentence."""
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        try:
            with client().stream(
                "POST",
                f"{self._url}/v1/chat/completions",
                headers=self._headers,
                json=dict(body),
                timeout=timeout,
            ) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _error(response)
                yield from _events(response)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise _unreachable() from None


@cache
def client() -> httpx.Client:
    """One pool of connections for this process."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=200))


def _events(response: httpx.Response) -> Generator[dict[str, Any], None, None]:
    for line in response.iter_lines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        event = json.loads(line.removeprefix("data: "))
        if "error" in event:
            raise InvokeServerUnavailableError(
                str(event["error"].get("message", "The model failed."))
            )
        yield event


def _error(response: httpx.Response) -> InvokeError:
    """The error of a status: its class tells Dify what to do, its sentence tells people."""
    status = response.status_code
    message = _message(response)
    if status == 401:
        return InvokeAuthorizationError(
            "The tool server does not know this key: copy it from keys.json again."
        )
    if status == 403:
        return InvokeAuthorizationError(
            'This key does not open the model: enter the one with the scope "model".'
        )
    if status == 429:
        wait = response.headers.get("Retry-After", "a few")
        return InvokeRateLimitError(f"{message} Try again in {wait} seconds.")
    if status >= 500:
        return InvokeServerUnavailableError(message)
    return InvokeBadRequestError(message)


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "This address does not answer like a Shenqiao model server: check the URL."


def _unreachable() -> InvokeConnectionError:
    return InvokeConnectionError(
        "The model server cannot be reached: check the URL and that it runs."
    )
