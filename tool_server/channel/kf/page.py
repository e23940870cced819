"""One page of kf/sync_msg: its items and its cursor are taken in one transaction, all or nothing; for `pulls`."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from tool_server.channel.account import WeComKf
from tool_server.channel.kf import bursts, fails, sessions
from tool_server.channel.kf.cursors import Cursors, Source
from tool_server.channel.kf.items import CUSTOMER, SERVICER, Failed, Item, Serves, Unreadable, read
from tool_server.channel.ledger import Claim, Ledger
from tool_server.channel.surface import Incoming

# A welcome code is good this long (95122).
WELCOME_S = 20.0


@dataclass(frozen=True)
class Page:
    """What a call gave. Items that could not be read are counted; they hold nobody up."""

    items: Sequence[Item]
    cursor: str
    more: bool
    unreadable: int = 0

    def customers(self) -> set[str]:
        """Who writes in it, and whose session it does not change itself."""
        moved = {i.incoming.user for i in self.items if isinstance(i.effect, Serves)}
        return {i.incoming.user for i in self.items if i.origin == CUSTOMER} - moved


@dataclass
class Taken:
    """What became of a page's items."""

    new: int = 0
    repeated: int = 0
    noted: int = 0
    fates: list[str] = field(default_factory=list)  # of messages of ours that had failed
    claims: list[tuple[Claim, Incoming]] = field(default_factory=list)  # to be announced


def read_page(account: WeComKf, open_kfid: str, answer: Mapping[str, object], before: str) -> Page:
    """The page in an answer of the platform; without a cursor in it the old one stays."""
    listed = answer.get("msg_list")
    items, unreadable = [], 0
    for body in listed if isinstance(listed, list) else ():
        try:
            items.append(read(account, open_kfid, body))
        except Unreadable:
            unreadable += 1
    cursor = answer.get("next_cursor")
    known = cursor if isinstance(cursor, str) and cursor else before
    return Page(items, known, answer.get("has_more") == 1, unreadable)


@dataclass(frozen=True)
class Taker:
    """Takes pages into the ledger; `attempts` bounds how often a piece that fails is sent."""

    ledger: Ledger
    cursors: Cursors
    attempts: int

    def take(self, db: sa.Connection, source: Source, page: Page, released: Sequence[str]) -> Taken:
        """In one transaction. `released` are customers of whom the platform says that no human serves them now."""
        self.cursors.advance(db, source, page.cursor)
        for user in released:
            sessions.change(db, source.account, source.open_kfid, user, human=False)
        taken = Taken()
        for item in page.items:
            self._take(db, source, item, taken)
        return taken

    def _take(self, db: sa.Connection, source: Source, item: Item, taken: Taken) -> None:
        claim = self.ledger.claim_within(db, source.account, item.incoming)
        taken.claims.append((claim, item.incoming))
        if not claim.new:
            taken.repeated += 1
            return
        if reason := _unanswered(db, source, item):
            sessions.set_aside(db, claim.message_id, reason)
            taken.noted += 1
        else:
            bursts.gather(db, claim.message_id, item.incoming.platform_id)
            taken.new += 1
        self._follow(db, source, item, claim, taken)

    def _follow(
        self, db: sa.Connection, source: Source, item: Item, claim: Claim, taken: Taken
    ) -> None:
        """What an item changes besides being one."""
        account, user = source.account, item.incoming.user
        match item.effect:
            case Serves(human):
                sessions.change(db, account, source.open_kfid, user, human=human)
            case Failed() as failed:
                fate = fails.apply(db, account, user, failed, attempts=self.attempts)
                taken.fates.append(fate)
        if item.origin == CUSTOMER:
            fails.release(db, account, user, before=claim.message_id)


def _unanswered(db: sa.Connection, source: Source, item: Item) -> str:
    """Why this gets no answer; empty where it does, or where it is an event that nobody waits for."""
    incoming = item.incoming
    if item.origin == SERVICER:
        return "a human wrote it"
    if incoming.event == "enter" and time.time() - incoming.sent_at > WELCOME_S:
        return "the welcome code is over"
    if item.origin != CUSTOMER:
        return ""
    if incoming.sent_at < source.since:
        return "written before this service account was connected"
    if sessions.human_serves(db, source.account, source.open_kfid, incoming.user):
        return sessions.HUMAN_SERVES
    return ""


def request(source: Source, *, limit: int) -> str:
    """The body of the call that reads on."""
    body: dict[str, object] = {"open_kfid": source.open_kfid, "limit": limit}
    body |= {"cursor": source.cursor} if source.cursor else {}
    body |= {"token": source.token} if source.token else {}
    return json.dumps(body)
