"""The only HTTP client to the tool server; every file that Dify loads of package A goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import gevent
import httpx
from pydantic import BaseModel, ValidationError

from dify_plugin.shapes import Base, Bases, DocumentText, Found, Refusal

if TYPE_CHECKING:
    from dify_plugin.question import DocumentQuestion, Question

SEARCH_S = 10.0
CHECK_S = 8.0
# The daemon ends a plugin that writes a line of 5 MB, and bodies double on their way there.
ANSWER_LIMIT = 2 * 1024 * 1024
AWAY = "The tool server cannot be reached: check the URL and that it runs."
NO_KNOWLEDGE = (
    "There is no knowledge at this address: check the URL, "
    "and that knowledge is switched on in the tool server."
)


class ServerError(Exception):
    """The tool server did not do it; a sentence for the administrator or the workflow's log, without addresses."""


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    content_type: str
    body: bytes


class Server:
    """A tool server with the key that was entered for it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.strip().rstrip("/")
        self._key = key.strip()

    def __repr__(self) -> str:
        return f"Server({self._url!r})"

    @classmethod
    def of(cls, credentials: Mapping[str, Any]) -> Server:
        return cls(str(credentials.get("server_url") or ""), str(credentials.get("api_key") or ""))

    def check(self) -> None:
        """Whether URL and key open the knowledge. Raises `ServerError`."""
        self.bases()

    def bases(self) -> list[Base]:
        """The knowledge bases with their sizes. Raises `ServerError`."""
        return self._call(Bases, "GET", "/knowledge/bases", CHECK_S).bases

    def search(self, question: Question) -> Found:
        """The passages for a question. Raises `ServerError`."""
        return self._call(Found, "POST", "/knowledge/search", SEARCH_S, json=asdict(question))

    def document(self, question: DocumentQuestion) -> DocumentText:
        """A part of a document's text. Raises `ServerError`."""
        return self._call(
            DocumentText, "POST", "/knowledge/document", SEARCH_S, json=asdict(question)
        )

    def _call[Reply: BaseModel](
        self, reply: type[Reply], method: str, path: str, deadline_s: float, **more: Any
    ) -> Reply:
        if not (self._key.isascii() and self._key.isprintable()):
            raise ServerError(_sentence(401, b""))
        headers = {"Authorization": f"Bearer {self._key}"}
        answer = ask(method, self._url + path, deadline_s=deadline_s, headers=headers, **more)
        if answer.status != 200:
            raise ServerError(_sentence(answer.status, answer.body))
        try:
            return reply.model_validate_json(answer.body)
        except ValidationError:
            raise ServerError(NO_KNOWLEDGE) from None


def ask(method: str, url: str, *, deadline_s: float, **more: Any) -> Answer:
    """One request, whole within the deadline: httpx's own timeouts start anew with each byte. Raises `ServerError`."""
    late = gevent.Timeout(deadline_s, httpx.ReadTimeout("late"))
    try:
        with late, _pool().stream(method, url, timeout=deadline_s, **more) as response:
            content_type = response.headers.get("Content-Type", "")
            return Answer(response.status_code, content_type, _body(response))
    except httpx.TimeoutException:
        raise ServerError("The tool server did not answer in time.") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError):
        raise ServerError(AWAY) from None


def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > ANSWER_LIMIT:
            raise ServerError("The tool server's answer is too large.")
    return bytes(body)


@cache
def _pool() -> httpx.Client:
    """One pool of connections for this process."""
    return httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=200))


def _sentence(status: int, body: bytes) -> str:
    if status == 401:
        return "The tool server does not know this key: copy it from keys.json again."
    if status == 403:
        return 'This key does not open knowledge: enter the one with the scope "knowledge".'
    try:
        error = Refusal.model_validate_json(body).error
    except ValidationError:
        return AWAY if status >= 500 else NO_KNOWLEDGE
    if status == 404 and error.field is None:
        return NO_KNOWLEDGE
    return f"The tool server refused: {error.message}"
