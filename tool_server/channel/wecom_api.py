"""The WeCom API as the channel needs it: one access token per account, calls with it; used by the surfaces and checks.

Codes: developer.work.weixin.qq.com, documents 90312 and 90313; see also docs/errors.md.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx

from tool_server.channel.account import Account, WeComApp, WeComKf

# gettoken's answer is valid for 7200 s; it is renewed when this share of it is over.
TOKEN_SHARE = 0.85
TOKEN_FAULTS = (40001, 40014, 42001)
# The call-frequency limits: blocked for a minute, an hour or the rest of the day (90312).
QUOTA_FAULTS = (45009, 45033)
QUOTA_PAUSE_S = 65.0
BUSY = -1


class SendError(Exception):
    """The platform did not take a piece. `again_in_s` is None where another try cannot help."""

    def __init__(self, code: int, message: str, *, again_in_s: float | None) -> None:
        super().__init__(message)
        self.code = code
        self.again_in_s = again_in_s


@dataclass(frozen=True)
class _Token:
    value: str
    renew_at: float


class WeComApi:
    """Calls with one timeout, one token per account (single flight), one retry after a token fault."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, trust_env=False)
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def call(self, account: Account, path: str, body: str) -> Mapping[str, object]:
        """POST `body` (JSON) to `path` with the account's token; the answer. Raises `SendError`."""
        token = self.token(account)
        try:
            return self._call("POST", path, {"access_token": token}, body)
        except SendError as error:
            if error.code not in TOKEN_FAULTS:
                raise
        self._drop_token(account, token)
        return self._call("POST", path, {"access_token": self.token(account)}, body)

    def post(self, url: str, body: str) -> Mapping[str, object]:
        """POST `body` to an address that the platform gave with a message, without a token. Raises `SendError`."""
        return self._call("POST", url, {}, body)

    def token(self, account: Account) -> str:
        """The access token; fetched by one thread while the others wait. Raises `SendError`."""
        name = _token_name(account)
        with self._lock(name):
            held = self._tokens.get(name)
            if held is None or self._clock() >= held.renew_at:
                held = self._fetch_token(account)
                self._tokens[name] = held
            return held.value

    def close(self) -> None:
        self._http.close()

    def _fetch_token(self, account: Account) -> _Token:
        corp = _of_corp(account)
        query = {"corpid": corp.corp_id, "corpsecret": corp.secret.get_secret_value()}
        answer = self._call("GET", "/cgi-bin/gettoken", query, None)
        lifetime = float(answer.get("expires_in", 7200))
        return _Token(str(answer["access_token"]), self._clock() + lifetime * TOKEN_SHARE)

    def _drop_token(self, account: Account, token: str) -> None:
        """Forget a token that was refused, unless another thread has a newer one by now."""
        name = _token_name(account)
        with self._lock(name):
            held = self._tokens.get(name)
            if held is not None and held.value == token:
                del self._tokens[name]

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())

    def _call(
        self, method: str, path: str, query: dict[str, str], body: str | None
    ) -> dict[str, Any]:
        try:
            response = self._http.request(
                method, path, params=query, content=body and body.encode()
            )
            answer = response.json()
        except (httpx.HTTPError, json.JSONDecodeError, UnicodeDecodeError):
            # It may have been taken: the retry sends the same bytes, which the platform then drops.
            raise SendError(0, "the platform cannot be reached", again_in_s=1.0) from None
        if not isinstance(answer, dict):
            raise SendError(0, "the platform's answer is not readable", again_in_s=1.0)
        code = int(answer.get("errcode", 0))
        if code == 0:
            return answer
        raise SendError(code, str(answer.get("errmsg", ""))[:160], again_in_s=_pause(code))


def _pause(code: int) -> float | None:
    if code == BUSY:
        return 1.0
    return QUOTA_PAUSE_S if code in QUOTA_FAULTS else None


def _token_name(account: Account) -> str:
    corp = _of_corp(account)
    secret = sha256(corp.secret.get_secret_value().encode()).hexdigest()
    return f"{corp.corp_id}/{secret}"


def _of_corp(account: Account) -> WeComApp | WeComKf:
    if not isinstance(account, WeComApp | WeComKf):
        raise TypeError(f"{account.surface} has no access token")
    return account
