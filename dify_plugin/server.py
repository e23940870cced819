"""The only HTTP client to the tool server; every file that Dify loads of package A goes through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import gevent
import httpx
from pydantic import BaseModel, ValidationError

from dify_plugin.faults import (
    NO_CHANNEL,
    NO_KNOWLEDGE,
    NO_MODEL,
    NO_PICTURES,
    WRONG_KEY,
    ServerError,
    check_url,
    of_answer,
    of_connection,
)
from dify_plugin.shapes import (
    Base,
    Bases,
    Completion,
    DocumentText,
    Found,
    Kept,
    ListedModel,
    ListedModels,
    Pages,
)

if TYPE_CHECKING:
    from dify_plugin.question import DocumentQuestion, Question
    from dify_plugin.sending import Card, Place, Upload

__all__ = ["Answer", "Server", "ServerError", "ask"]

SEARCH_S = 10.0
CHECK_S = 8.0
SEND_S = 60.0
DRAW_S = 60.0
MODEL_S = 300.0
# Bodies double on their way through the daemon, which ends a plugin that writes a line of 5 MB.
ANSWER_LIMIT = 2 * 1024 * 1024
# Files go out in small parts; these are ours to bound.
FILE_LIMIT = 20 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    content_type: str
    body: bytes
    headers: httpx.Headers


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
        """Whether URL and key open the knowledge. Raises `ServerError`, whose sentence says what to change."""
        check_url(self._url)
        self.bases()

    def bases(self) -> list[Base]:
        """The knowledge bases with their sizes. Raises `ServerError`."""
        return self._read(Bases, "GET", "/knowledge/bases", deadline_s=CHECK_S).bases

    def search(self, question: Question) -> Found:
        """The passages for a question. Raises `ServerError`."""
        body = asdict(question)
        return self._read(Found, "POST", "/knowledge/search", deadline_s=SEARCH_S, json=body)

    def document(self, question: DocumentQuestion) -> DocumentText:
        """A part of a document's text. Raises `ServerError`."""
        body = asdict(question)
        path = "/knowledge/document"
        return self._read(DocumentText, "POST", path, deadline_s=SEARCH_S, json=body)

    def reply(self, place: Place, card: Card) -> Kept:
        """A card for the person of the ticket. Raises `ServerError`."""
        body = asdict(place) | {"card": asdict(card)}
        return self._post(Kept, "/channel/reply", NO_CHANNEL, deadline_s=SEND_S, json=body)

    def reply_file(self, place: Place, file: Upload) -> Kept:
        """A file for the person of the ticket. Raises `ServerError`."""
        more = {"data": asdict(place), "files": {"file": file.part}}
        return self._post(Kept, "/channel/reply", NO_CHANNEL, deadline_s=SEND_S, **more)

    def annotate(self, picture: Upload, marks: str, units: str) -> Answer:
        """A picture with marks; its type in `content_type`. Raises `ServerError`."""
        more = {"data": {"marks": marks, "units": units}, "files": {"picture": picture.part}}
        return self._ask(
            "POST",
            "/pictures/annotate",
            deadline_s=DRAW_S,
            limit=FILE_LIMIT,
            elsewhere=NO_PICTURES,
            **more,
        )

    def render(self, text: str, title: str) -> Pages:
        """A text as pictures. Raises `ServerError`."""
        body = {"text": text, "title": title}
        more = {"deadline_s": DRAW_S, "limit": FILE_LIMIT, "json": body}
        return self._post(Pages, "/pictures/render", NO_PICTURES, **more)

    def models(self) -> list[ListedModel]:
        """The models that the key may use. Raises `ServerError`."""
        more = {"deadline_s": CHECK_S, "elsewhere": NO_MODEL}
        return self._read(ListedModels, "GET", "/v1/models", **more).data

    def complete(self, body: Mapping[str, Any]) -> Completion:
        """A chat completion. Raises `ServerError`."""
        path = "/v1/chat/completions"
        return self._post(Completion, path, NO_MODEL, deadline_s=MODEL_S, json=body)

    def _post[Reply: BaseModel](
        self, reply: type[Reply], path: str, elsewhere: str, **more: Any
    ) -> Reply:
        return self._read(reply, "POST", path, elsewhere=elsewhere, **more)

    def _read[Reply: BaseModel](
        self, reply: type[Reply], method: str, path: str, **more: Any
    ) -> Reply:
        answer = self._ask(method, path, **more)
        try:
            return reply.model_validate_json(answer.body)
        except ValidationError:
            raise ServerError(more.get("elsewhere", NO_KNOWLEDGE)) from None

    def _ask(self, method: str, path: str, *, elsewhere: str = NO_KNOWLEDGE, **more: Any) -> Answer:
        """One request with the key; an answer that is no 200 becomes a sentence."""
        if not (self._key.isascii() and self._key.isprintable()):
            raise ServerError(WRONG_KEY)
        headers = {"Authorization": f"Bearer {self._key}"}
        answer = ask(method, self._url + path, headers=headers, **more)
        if answer.status != 200:
            raise of_answer(answer.status, answer.body, elsewhere=elsewhere)
        return answer


def ask(
    method: str, url: str, *, deadline_s: float, limit: int = ANSWER_LIMIT, **more: Any
) -> Answer:
    """One request, whole within the deadline: httpx's own timeouts start anew with each byte. Raises `ServerError`."""
    late = gevent.Timeout(deadline_s, httpx.ReadTimeout("late"))
    try:
        with late, _pool().stream(method, url, timeout=deadline_s, **more) as response:
            content_type = response.headers.get("Content-Type", "")
            return Answer(
                response.status_code, content_type, _body(response, limit), response.headers
            )
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
        raise of_connection(error, url) from None


def _body(response: httpx.Response, limit: int) -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > limit:
            raise ServerError("The tool server's answer is too large.")
    return bytes(body)


@cache
def _pool() -> httpx.Client:
    """One pool of connections for this process, which keeps no cookie: those of one browser are not the next one's."""
    none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return httpx.Client(trust_env=False, cookies=none, limits=httpx.Limits(max_connections=200))
