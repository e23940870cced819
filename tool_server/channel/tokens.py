"""Access tokens of the platform: one per app for all threads, processes and nodes; used by `wecom_api`.

Whoever finds no good token fetches one, under a lease, while the others wait; one that is still good is used on
while somebody renews it. What must not be tried again for a while is shut for all of them.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from tool_server.channel.account import Account, WeComApp, WeComKf
from tool_server.channel.token_shelf import Held, Shelf
from tool_server.channel.wecom_errors import (
    IP_FAULT,
    QUOTA_FAULTS,
    SECRET_FAULTS,
    TOKEN_FAULTS,
    UNREACHABLE,
    SendError,
)

# gettoken's answer is valid for 7200 s (91039); it is renewed when this share of it is over, at random between the two.
RENEW_SHARES = (0.8, 0.9)
# The token's last moments are not used: it would end on its way.
MARGIN_S = 5.0
POLL_S = 0.05
# First pause of the breaker by code; each one in a row doubles it.
PAUSES_S = {
    **dict.fromkeys(TOKEN_FAULTS, 60.0),
    **dict.fromkeys(SECRET_FAULTS, 60.0),
    **dict.fromkeys(QUOTA_FAULTS, 65.0),
    45033: 5.0,
    IP_FAULT: 20.0,
    UNREACHABLE: 1.0,
}
OTHER_PAUSE_S = 5.0
LONGEST_PAUSES_S = {UNREACHABLE: 30.0, IP_FAULT: 60.0}
LONGEST_PAUSE_S = 3600.0

type Fetch = Callable[[Account], tuple[str, float]]


def uncounted(_code: int) -> None:
    """Where nobody counts."""


@dataclass(frozen=True, repr=False)
class Token:
    """An access token, and how the shelf knows it; its text is never shown."""

    value: str
    name: str
    mark: str
    was_shut: bool


class Tokens:
    """The tokens of all accounts. `fetch` is gettoken: the token and the seconds that it lives.

    `fetched` is told what each fetch came to: the platform's code, 0 for a token.
    """

    def __init__(
        self,
        shelf: Shelf,
        fetch: Fetch,
        *,
        patience_s: float,
        fetched: Callable[[int], None] = uncounted,
        clock: Callable[[], float] = time.time,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._shelf = shelf
        self._fetch = fetch
        self._patience_s = patience_s
        self._told = fetched
        self._clock = clock
        self._chance = chance
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, account: Account) -> Token:
        """A good token. Raises `SendError`, also for a fault that others met and that is to be left alone."""
        name = token_name(account)
        held = self._shelf.read(name)
        if self._fresh(held):
            return _token(name, held)
        lock = self._lock(name)
        if not lock.acquire(blocking=not self._usable(held)):
            return _token(name, held)  # somebody in this process renews it
        try:
            return self._renewed(name, account)
        finally:
            lock.release()

    def refuse(self, token: Token) -> None:
        """The platform did not take this token: the next `get` fetches, unless somebody has done so."""
        self._shelf.drop(token.name, token.mark)

    def shut(self, name: str, error: SendError) -> SendError:
        """Leave `name` (a token, or one route of a corp) alone for a while; the error with that while."""
        first = PAUSES_S.get(error.code, OTHER_PAUSE_S)
        longest = LONGEST_PAUSES_S.get(error.code, LONGEST_PAUSE_S)
        now = self._clock()
        until = self._shelf.shut(name, error.code, now=now, first_s=first, longest_s=longest)
        return SendError(error.code, str(error), again_in_s=until - now)

    def check_open(self, name: str) -> bool:
        """Raise `SendError` while `name` is shut; whether it was shut before and `opened` is to be called."""
        held = self._shelf.read(name)
        self._raise_if_shut(held)
        return held.shuts > 0

    def opened(self, name: str) -> None:
        """A call went well: the next pause is a first one again."""
        self._shelf.open(name)

    def _renewed(self, name: str, account: Account) -> Token:
        """Fetch under the lease, or wait for whoever has it."""
        deadline = self._clock() + self._patience_s
        while True:
            held = self._shelf.read(name)
            if self._fresh(held):
                return _token(name, held)
            now = self._clock()
            if held.lease_until <= now and self._shelf.claim(name, now, now + self._patience_s):
                return self._fetched(name, account)
            if self._usable(held):
                return _token(name, held)
            if now >= deadline:
                raise SendError(UNREACHABLE, "nobody got an access token in time", again_in_s=1.0)
            time.sleep(POLL_S)

    def _fetched(self, name: str, account: Account) -> Token:
        try:
            value, lifetime_s = self._fetch(account)
        except SendError as error:
            self._told(error.code)
            self._shelf.release(name)
            raise self.shut(name, error) from None
        except BaseException:
            self._shelf.release(name)
            raise
        self._told(0)
        now = self._clock()
        renew_at = now + lifetime_s * self._chance(*RENEW_SHARES)
        expires_at = now + max(lifetime_s - MARGIN_S, 0.0)
        return _token(name, self._shelf.store(name, value, min(renew_at, expires_at), expires_at))

    def _fresh(self, held: Held) -> bool:
        self._raise_if_shut(held)
        return bool(held.value) and self._clock() < held.renew_at

    def _usable(self, held: Held) -> bool:
        return bool(held.value) and self._clock() < held.expires_at

    def _raise_if_shut(self, held: Held) -> None:
        left = held.shut_until - self._clock()
        if left > 0:
            raise SendError(
                held.shut_code, "left alone after this error", again_in_s=left, free=True
            )

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())


def token_name(account: Account) -> str:
    """One per corp and secret: accounts of one app share its token, and a new secret starts afresh."""
    corp = of_corp(account)
    secret = sha256(corp.secret.get_secret_value().encode()).hexdigest()
    return f"{corp.corp_id}/{secret}"


def route_name(account: Account, path: str) -> str:
    """What a call-frequency limit shuts: one API of one corp (90312)."""
    return f"{of_corp(account).corp_id}{path}"[:200]


def of_corp(account: Account) -> WeComApp | WeComKf:
    """The account as one that has an access token."""
    if not isinstance(account, WeComApp | WeComKf):
        raise TypeError(f"{account.surface} has no access token")
    return account


def _token(name: str, held: Held) -> Token:
    return Token(held.value, name, held.mark, held.shuts > 0)
