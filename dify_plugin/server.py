"""The only HTTP client to the tool server; every file that Dify loads of package A goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import httpx

SEARCH_S = 10.0
CHECK_S = 8.0
TOP_K = 3


class ServerError(Exception):
    """The tool server did not do it; a sentence for the administrator or the workflow's log, without addresses."""


@dataclass(frozen=True)
class Question:
    """A search. `app` and `conversation` are Dify's: the server binds the ticket to them."""

    query: str
    base: str | None
    top_k: int
    ticket: str | None
    app: str
    conversation: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any], *, app: str, conversation: str) -> Question:
        """From a tool node's parameters; what is missing gets its default."""
        return cls(
            query=str(parameters.get("query") or ""),
            base=str(parameters.get("base") or "") or None,
            top_k=int(parameters.get("top_k") or TOP_K),
            ticket=str(parameters.get("ticket") or "") or None,
            app=app,
            conversation=conversation,
        )

    @property
    def language(self) -> str:
        """ "zh" where the question holds a Han character, else "en"."""
        return "zh" if any("\u4e00" <= character <= "\u9fff" for character in self.query) else "en"


class Server:
    """A tool server with the key that was entered for it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.strip().rstrip("/")
        self._headers = {"Authorization": f"Bearer {key.strip()}"}

    def __repr__(self) -> str:
        return f"Server({self._url!r})"

    @classmethod
    def of(cls, credentials: Mapping[str, Any]) -> Server:
        return cls(str(credentials.get("server_url") or ""), str(credentials.get("api_key") or ""))

    def bases(self) -> list[dict[str, Any]]:
        """The knowledge bases; also the check of URL and key. Raises `ServerError`."""
        return list(self._call("GET", "/knowledge/bases", CHECK_S).get("bases", []))

    def search(self, question: Question) -> dict[str, Any]:
        """The passages for a question. Raises `ServerError`."""
        return self._call("POST", "/knowledge/search", SEARCH_S, json=asdict(question))

    def _call(self, method: str, path: str, timeout_s: float, **more: Any) -> dict[str, Any]:
        try:
            response = client().request(
                method, self._url + path, headers=self._headers, timeout=timeout_s, **more
            )
            body = response.json()
        except httpx.TimeoutException:
            raise ServerError("The tool server did not answer in time.") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise ServerError(
                "The tool server cannot be reached: check the URL and that it runs."
            ) from None
        except ValueError:
            raise ServerError(
                "This address does not answer like a Shenqiao tool server: check the URL."
            ) from None
        if response.status_code >= 400 or not isinstance(body, dict):
            raise ServerError(_sentence(response.status_code, body))
        return body


@cache
def client() -> httpx.Client:
    """One pool of connections for this process."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=200))


def _sentence(status: int, body: Any) -> str:
    if status == 401:
        return "The tool server does not know this key: copy it from keys.json again."
    if status == 403:
        return 'This key does not open knowledge: enter the one with the scope "knowledge".'
    try:
        return f"The tool server refused: {body['error']['message']}"
    except (KeyError, TypeError):
        return "This address is not a Shenqiao tool server with knowledge: check the URL."
