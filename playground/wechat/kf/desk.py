"""Service accounts with their customers and the log of what happened; all other files of this package work on it."""

import itertools
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from playground.wechat.kf.limits import ITEMS, KfLimits
from playground.wechat.ledger import Ledger, Source

# Origins of an item (94670).
CUSTOMER, SYSTEM, SERVICER = 3, 4, 5
# States of a session (94669).
NEW, BOT, POOL, HUMAN, ENDED = range(5)


@dataclass(frozen=True)
class Item:
    """What kf/sync_msg gives: numbered in its account, with the platform's JSON."""

    number: int
    at: float
    body: Mapping[str, Any]


@dataclass
class Session:
    """One customer at one service account."""

    state: int = NEW
    servicer: str = ""
    last_message_at: float = 0.0
    quota: int = 0
    welcome_code: str = ""
    welcome_until: float = 0.0


@dataclass
class ServiceAccount:
    """One 客服帐号: its customers, and the log that is pulled."""

    open_kfid: str
    name: str
    sessions: dict[str, Session] = field(default_factory=dict)
    log: deque[Item] = field(default_factory=lambda: deque(maxlen=ITEMS))
    last: int = 0


class Desk:
    """The state; every method is for all threads."""

    def __init__(
        self,
        accounts: Mapping[str, str],
        limits: KfLimits,
        ledger: Ledger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.accounts = {id_: ServiceAccount(id_, name) for id_, name in accounts.items()}
        self.limits = limits
        self.ledger = ledger
        self.clock = clock
        self.lock = threading.RLock()
        self._run = secrets.token_hex(4)  # msgids of two runs differ
        self._numbers = itertools.count(1)

    def write(
        self, open_kfid: str, user: str, content: Mapping[str, Any], *, age_s: float = 0.0
    ) -> str:
        """A customer sends a message; its msgid. An ended session begins anew."""
        with self.lock:
            account = self.accounts[open_kfid]
            session = account.sessions.setdefault(user, Session())
            if session.state == ENDED:
                session.state, session.servicer = NEW, ""
            session.last_message_at = self.clock() - age_s
            before = session.quota if self.limits.quota_adds else 0
            session.quota = before + self.limits.per_message
            body = {"external_userid": user, "origin": CUSTOMER, **content}
            msgid = self.add(account, body, age_s=age_s)
        said = content["text"]["content"] if "text" in content else f"[{content['msgtype']}]"
        self.show(user, "user", said, msgid)
        return msgid

    def say_as_servicer(self, open_kfid: str, user: str, text: str) -> str:
        """The human who serves writes; the customer sees it, and it is pulled with origin 5."""
        with self.lock:
            account = self.accounts[open_kfid]
            body = {
                "external_userid": user,
                "origin": SERVICER,
                "servicer_userid": account.sessions[user].servicer,
                "msgtype": "text",
                "text": {"content": text},
            }
            msgid = self.add(account, body)
        self.show(user, "human", text, msgid)
        return msgid

    def event(self, account: ServiceAccount, event_type: str, **fields: Any) -> str:
        """An event in the log; its ids stand inside `event`."""
        event = {"event_type": event_type, "open_kfid": account.open_kfid, **fields}
        return self.add(account, {"origin": SYSTEM, "msgtype": "event", "event": event})

    def add(self, account: ServiceAccount, body: Mapping[str, Any], *, age_s: float = 0.0) -> str:
        """A new item; its msgid."""
        with self.lock:
            account.last += 1
            at = self.clock() - age_s
            msgid = f"kfmsg_{self._run}_{next(self._numbers)}"
            whole: dict[str, Any] = {"msgid": msgid, "send_time": int(at), **body}
            if "event" not in body:
                whole["open_kfid"] = account.open_kfid
            account.log.append(Item(account.last, at, whole))
            return msgid

    def show(self, user: str, source: Source, text: str, msgid: str) -> None:
        """A bubble on the customer's phone."""
        if source == "user":
            self.ledger.show(user, source, text, msg_id=msgid)
        else:
            self.ledger.show(user, source, text, push_id=msgid)
