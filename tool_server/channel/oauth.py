"""Signing in with WeCom (OAuth2, 91022), so that a page is shown to one member alone; called by `page_routes`.

The state that goes to WeCom and comes back lives in a sealed cookie of that browser and is good once; so does, for a
while, who signed in.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tool_server.channel.account import Account, WeComApp
from tool_server.channel.schema import nonces
from tool_server.channel.vault import Vault, VaultError
from tool_server.channel.wecom_errors import SendError
from tool_server.database import Database

USER_PATH = "/cgi-bin/auth/getuserinfo"
# 91022: a code is good for five minutes, once, and has at most 512 bytes; so long may signing in take.
STATE_S = 300
CODE_BYTES = 512
COOKIE_BYTES = 4096
# The code is bad, or was used (90313).
BAD_CODES = (40029, 41008)


class SignInError(Exception):
    """Nobody signed in; `word` is the sentence for the person."""

    def __init__(self, word: str, reason: str) -> None:
        super().__init__(reason)
        self.word = word


class Gets(Protocol):
    """Calls of the platform; see `wecom_api`."""

    def get(
        self, account: Account, path: str, query: Mapping[str, str] | None = None
    ) -> Mapping[str, object]: ...


@dataclass(frozen=True)
class Start:
    """Where a browser is sent to sign in, and the cookie that it comes back with."""

    url: str
    cookie: str


@dataclass(frozen=True)
class Attempt:
    """A sign-in on its way: for which account, to see which page."""

    account: str
    page: str
    state: str


class SignIn:
    """Sends browsers to WeCom and finds out who came back."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        api: Gets,
        *,
        authorize_url: str,
        session_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._vault = vault
        self._api = api
        self._authorize_url = authorize_url
        self._session_s = session_s
        self._clock = clock

    def start(self, name: str, app: WeComApp, page: str, return_url: str) -> Start:
        """Send a browser to WeCom; it comes back to `return_url`, and from there to the page."""
        state = secrets.token_hex(16)
        query = {
            "appid": app.corp_id,
            "redirect_uri": return_url,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
            "agentid": str(app.agent_id),
        }
        url = f"{self._authorize_url}?{urlencode(query, quote_via=quote)}#wechat_redirect"
        return Start(url, self._seal("state", STATE_S, account=name, page=page, state=state))

    def attempt(self, cookie: str, state: str) -> Attempt:
        """The sign-in that this browser began with this state; good once. Raises `SignInError`."""
        kept = self._unseal("state", cookie)
        if kept is None or not hmac.compare_digest(kept["state"].encode(), state.encode()):
            raise SignInError("login_failed", "state")
        if not self._use(kept["state"]):
            raise SignInError("login_failed", "state used")
        return Attempt(kept["account"], kept["page"], kept["state"])

    def user(self, app: WeComApp, code: str) -> str:
        """The member who signed in. Raises `SignInError`, also for people of other corps."""
        if not 0 < len(code.encode()) <= CODE_BYTES:
            raise SignInError("login_failed", "code")
        try:
            answer = self._api.get(app, USER_PATH, {"code": code})
        except SendError as error:
            word = "login_failed" if error.code in BAD_CODES else "login_away"
            raise SignInError(word, str(error.code)) from None
        user = str(answer.get("userid") or "")
        if not user:
            raise SignInError("page_other", "no member")
        return user

    def session(self, name: str, user: str) -> str:
        """The cookie of somebody who signed in."""
        return self._seal("session", self._session_s, account=name, user=user)

    def who(self, cookie: str, name: str) -> str:
        """The member of the account `name` whose browser this is, or ""."""
        kept = self._unseal("session", cookie)
        return kept["user"] if kept is not None and kept["account"] == name else ""

    def _seal(self, kind: str, life_s: float, **fields: str) -> str:
        until = str(self._clock() + life_s)
        return self._vault.seal(json.dumps({"kind": kind, "until": until, **fields}))

    def _unseal(self, kind: str, cookie: str) -> dict[str, str] | None:
        if not 0 < len(cookie) <= COOKIE_BYTES:
            return None
        try:
            fields: dict[str, str] = json.loads(self._vault.unseal(cookie))
        except (VaultError, ValueError):
            return None
        good = fields.get("kind") == kind and float(fields.get("until", "0")) > self._clock()
        return fields if good else None

    def _use(self, state: str) -> bool:
        """Whether nobody came back with this state before."""
        name = hashlib.sha256(f"oauth/{state}".encode()).hexdigest()
        row = {"nonce": name, "body": "", "expires_at": self._clock() + STATE_S}
        try:
            self._database.write(lambda db: db.execute(sa.insert(nonces).values(row)))
        except IntegrityError:
            return False
        return True


def same_user(one: str, other: str) -> bool:
    """Member ids are the same in any case of letters."""
    return bool(one) and hmac.compare_digest(one.casefold().encode(), other.casefold().encode())
