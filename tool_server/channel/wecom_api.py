"""The WeCom API as the channel needs it: calls with the app's access token; used by surfaces, people and checks.

What becomes of each error code stands in `wecom_errors`; who fetches a token, and what is left alone for a while,
in `tokens`.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from werkzeug.http import parse_options_header

from tool_server.channel.account import Account
from tool_server.channel.surface import MediaKind
from tool_server.channel.token_shelf import MemoryShelf, Shelf
from tool_server.channel.tokens import Token, Tokens, of_corp, route_name, uncounted
from tool_server.channel.wecom_errors import (
    BUSY,
    QUOTA_FAULTS,
    TOKEN_FAULTS,
    SendError,
    refusal,
    unreachable,
)

__all__ = ["Downloaded", "SendError", "WeComApi"]

# Seconds before the n-th new try of a call that found the platform busy.
BUSY_PAUSES_S = (0.2, 0.4, 0.8)
# Somebody else's gettoken may take its whole timeout, and a little more.
LEASE_MARGIN_S = 2.0
ANSWER_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True)
class Downloaded:
    """A file of the platform, with the name that it has there."""

    data: bytes
    name: str


@dataclass(frozen=True, repr=False)
class _Answer:
    """The JSON of an answer (nothing of a file's), and the file that it is where one was asked for."""

    fields: dict[str, Any]
    file: Downloaded


@dataclass(frozen=True, repr=False)
class _Request:
    """One call; `query` never shows, the token and gettoken's secret stand in it."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    files: Mapping[str, tuple[str, bytes]] | None = None
    limit: int = ANSWER_LIMIT
    raw: bool = False  # the answer may be a file


class WeComApi:
    """Calls with one timeout, one token per app, one retry after a token fault, at most three while it is busy."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        shelf: Shelf | None = None,
        token_fetched: Callable[[int], None] = uncounted,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, trust_env=False)
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._tokens = Tokens(
            shelf or MemoryShelf(),
            self.fetch_token,
            patience_s=timeout_s + LEASE_MARGIN_S,
            fetched=token_fetched,
            clock=clock,
        )

    def call(
        self, account: Account, path: str, body: str, query: Mapping[str, str] | None = None
    ) -> Mapping[str, object]:
        """POST `body` (JSON) to `path` with the account's token; the answer. Raises `SendError`."""
        return self._ask(account, _Request("POST", path, query or {}, body)).fields

    def get(
        self, account: Account, path: str, query: Mapping[str, str] | None = None
    ) -> Mapping[str, object]:
        """GET `path` with the account's token; the answer. Raises `SendError`."""
        return self._ask(account, _Request("GET", path, query or {})).fields

    def post(self, url: str, body: str) -> Mapping[str, object]:
        """POST `body` to an address that the platform gave with a message, without a token. Raises `SendError`."""
        return self._send(_Request("POST", url, body=body)).fields

    def upload(self, account: Account, kind: MediaKind, name: str, data: bytes) -> str:
        """A temporary file for messages (media/upload: three days); its media id. Raises `SendError`."""
        path, files = "/cgi-bin/media/upload", {"media": (name, data)}
        answer = self._ask(account, _Request("POST", path, {"type": kind}, files=files))
        return str(answer.fields.get("media_id", ""))

    def download(self, account: Account, media_id: str, *, limit: int) -> Downloaded:
        """A file that came with a message (media/get), of at most `limit` bytes. Raises `SendError`."""
        query = {"media_id": media_id}
        request = _Request("GET", "/cgi-bin/media/get", query, limit=limit, raw=True)
        return self._ask(account, request).file

    def token(self, account: Account) -> str:
        """The app's access token. Raises `SendError`."""
        return self._tokens.get(account).value

    def fetch_token(self, account: Account) -> tuple[str, float]:
        """gettoken itself, past shelf and breaker: for `tokens`, and for a check that must know now."""
        corp = of_corp(account)
        query = {"corpid": corp.corp_id, "corpsecret": corp.secret.get_secret_value()}
        answer = self._send(_Request("GET", "/cgi-bin/gettoken", query)).fields
        value, lifetime = answer.get("access_token"), answer.get("expires_in", 7200)
        if not isinstance(value, str) or not value or not isinstance(lifetime, int | float):
            raise unreachable("gettoken's answer is not readable")
        return value, float(lifetime)

    def close(self) -> None:
        self._http.close()

    def _ask(self, account: Account, request: _Request) -> _Answer:
        route = route_name(account, request.path)
        was_shut = self._tokens.check_open(route)
        try:
            answer = self._with_token(account, request)
        except SendError as error:
            if error.code in QUOTA_FAULTS:
                raise self._tokens.shut(route, error) from None
            raise
        if was_shut:
            self._tokens.opened(route)
        return answer

    def _with_token(self, account: Account, request: _Request) -> _Answer:
        """With a new token if the first was refused; one that is refused as well shuts the app for a while."""
        token = self._tokens.get(account)
        try:
            return self._with(token, request)
        except SendError as error:
            if error.code not in TOKEN_FAULTS:
                raise
        self._tokens.refuse(token)
        token = self._tokens.get(account)
        try:
            return self._with(token, request)
        except SendError as error:
            if error.code not in TOKEN_FAULTS:
                raise
            shut = self._tokens.shut(token.name, error)  # before it is dropped: nobody is to fetch
            self._tokens.refuse(token)
            raise shut from None

    def _with(self, token: Token, request: _Request) -> _Answer:
        answer = self._patiently(request, token.value)
        if token.was_shut:
            self._tokens.opened(token.name)
        return answer

    def _patiently(self, request: _Request, token: str) -> _Answer:
        for pause in BUSY_PAUSES_S:
            try:
                return self._send(request, token)
            except SendError as error:
                if error.code != BUSY:
                    raise
            self._sleep(pause)
        return self._send(request, token)

    def _send(self, request: _Request, token: str = "") -> _Answer:
        """The answer as JSON, and as the bytes that came. Errors never hold the address: secrets stand in it."""
        query = {"access_token": token, **request.query} if token else dict(request.query)
        try:
            with self._http.stream(
                request.method,
                request.path,
                params=query or None,
                content=request.body and request.body.encode(),
                files=request.files,
            ) as response:
                data = _read(response, request.limit)
        except httpx.TimeoutException:
            raise unreachable("the platform did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise unreachable() from None
        if response.status_code != 200:
            raise unreachable(f"the platform answers with the status {response.status_code}")
        is_file = request.raw and "Content-Disposition" in response.headers
        fields = {} if is_file else _object(data)
        if code := _code(fields):
            raise refusal(code, str(fields.get("errmsg", "")))
        return _Answer(fields, Downloaded(data, _file_name(response)))


def _read(response: httpx.Response, limit: int) -> bytes:
    data = bytearray()
    for part in response.iter_bytes():
        data += part
        if len(data) > limit:
            raise SendError(45001, "the file is too large", again_in_s=None)
    return bytes(data)


def _object(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise unreachable("the platform's answer is not readable")
    return answer


def _code(answer: dict[str, Any]) -> int:
    code = answer.get("errcode", 0)
    if not isinstance(code, int):
        raise unreachable("the platform's answer is not readable")
    return code


def _file_name(response: httpx.Response) -> str:
    _, told = parse_options_header(response.headers.get("Content-Disposition"))
    return told.get("filename", "")[:200]
