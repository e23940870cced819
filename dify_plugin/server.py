"""The only HTTP client to the tool server; every file that Dify loads of package A goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import gevent
import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

SEARCH_S = 10.0
CHECK_S = 8.0
TOP_K = 3
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
        """From a tool node's parameters; what is missing gets its default. Raises `ServerError`."""
        return cls(
            query=str(parameters.get("query") or ""),
            base=str(parameters.get("base") or "") or None,
            top_k=_count(parameters.get("top_k")),
            ticket=str(parameters.get("ticket") or "") or None,
            app=app,
            conversation=conversation,
        )

    @property
    def language(self) -> str:
        """ "zh" where the question holds a Han character, else "en"."""
        return "zh" if any("\u4e00" <= character <= "\u9fff" for character in self.query) else "en"


class Passage(BaseModel):
    """A passage with its source, as the search gives it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    content: str
    title: str
    score: float
    document_id: str
    source_id: str
    segment_id: str
    url: str
    base: str


class Found(BaseModel):
    """The search's reply; `found` says whether the passages cover the question."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    found: bool
    passages: list[Passage]


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
        self._call(_Bases, "GET", "/knowledge/bases", CHECK_S)

    def search(self, question: Question) -> Found:
        """The passages for a question. Raises `ServerError`."""
        return self._call(Found, "POST", "/knowledge/search", SEARCH_S, json=asdict(question))

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


class _Bases(BaseModel):
    bases: list[dict[str, Any]]


class _Error(BaseModel):
    """The tool server's error object; a 404 that names a field means a thing, without one the whole route."""

    message: str
    field: str | None = None


class _Fault(BaseModel):
    error: _Error


def _sentence(status: int, body: bytes) -> str:
    if status == 401:
        return "The tool server does not know this key: copy it from keys.json again."
    if status == 403:
        return 'This key does not open knowledge: enter the one with the scope "knowledge".'
    try:
        error = _Fault.model_validate_json(body).error
    except ValidationError:
        return AWAY if status >= 500 else NO_KNOWLEDGE
    if status == 404 and error.field is None:
        return NO_KNOWLEDGE
    return f"The tool server refused: {error.message}"


def _count(value: object) -> int:
    if value in (None, ""):
        return TOP_K
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        raise ServerError("top_k: enter a whole number.") from None
