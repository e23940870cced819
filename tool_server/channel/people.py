"""Who the people are that ask: their departments with all above them, asked of the platform and kept for a while.

Called by `ask` before each question, by `policy`, and by `receive` when the contacts change. Whatever cannot be found
out means fewer rights, never more.
"""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.access import Asker
from tool_server.channel import tickets
from tool_server.channel.account import Account, WeComApp, WeComBot, WeComBotSocket
from tool_server.channel.accounts import Accounts
from tool_server.channel.contacts import look_up
from tool_server.channel.schema import people as table
from tool_server.channel.surface import Incoming
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.wecom_errors import UNREACHABLE, SendError
from tool_server.database import Database
from tool_server.settings import Settings

log = structlog.get_logger()

# The platform's event when somebody in Contacts, or a department, was changed (90240).
CONTACTS_CHANGED = "change_contact"
# Changes of a person; every other one may move departments, and with them everybody.
OF_A_PERSON = ("create_user", "update_user", "delete_user")
# A fetch that the contacts' change overtook is made again so often, then nothing is kept of it.
ROUNDS = 3
EVERYBODY = ""
# A platform that could not be reached is not asked about anybody for a while: each try may take its whole timeout.
AWAY_S = 5.0


def no_bases(_asker: Asker) -> str:
    """For an installation without knowledge."""
    return ""


@dataclass(frozen=True)
class Ages:
    """How long what is known of a person counts, in seconds: found, not found, and while nobody can be asked."""

    found_s: float
    missing_s: float
    stale_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Ages":
        return cls(
            settings.channel_people_ttl_s,
            settings.channel_people_missing_ttl_s,
            settings.channel_people_stale_s,
        )


@dataclass(frozen=True)
class _Known:
    """A row: what was found, and when."""

    exists: bool
    departments: tuple[int, ...]
    fetched_at: float


def nothing_withheld(_asker: Asker, _documents: Collection[str]) -> bool:
    """For an installation without knowledge."""
    return False


class People:
    """The table of people, filled from the platform. A process without `api` only forgets.

    Where this installation has knowledge, `closed` says as a digest which bases are closed to somebody, and `withheld`
    whether one of some documents is.
    """

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        ages: Ages,
        api: WeComApi | None = None,
        *,
        closed: Callable[[Asker], str] = no_bases,
        withheld: Callable[[Asker, Collection[str]], bool] = nothing_withheld,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._ages = ages
        self._api = api
        self._closed = closed
        self.withheld = withheld
        self._clock = clock
        self._away_until = 0.0

    def asker(self, name: str, account: Account, user: str, chat: str = "") -> Asker:
        """Who asks in an account called `name`. A bot's people are those of the app that it names.

        In a group the rights are the group's, and it belongs to the account that is in it.
        """
        if chat:
            asker = Asker(name, user, chat_type="group", chat=chat)
        else:
            departments = self.departments(name, account, user)
            asker = Asker(self.home(name, account), user, departments)
        return replace(asker, closed=self._closed(asker))

    def departments(self, name: str, account: Account, user: str) -> tuple[int, ...]:
        """Numbers of the person's departments and of all above them; none for whom the app does not see."""
        home = self.home(name, account)
        app = account if home == name else self._accounts.get(home)
        if not isinstance(app, WeComApp) or not app.enabled:
            return ()
        known = self._read(home, user)
        if known is not None and self._counts(known):
            return known.departments
        if self._clock() < self._away_until:
            return self._stale(known)
        try:
            return self._fetch(home, app, user)
        except SendError as error:
            log.warning("people.unknown", account=home, code=error.code, kept=known is not None)
            if error.code == UNREACHABLE:
                self._away_until = self._clock() + AWAY_S
            return self._stale(known)

    def home(self, name: str, account: Account) -> str:
        """The account under whose name the person's rights stand."""
        if isinstance(account, WeComBot | WeComBotSocket) and account.people_account:
            return account.people_account
        return name

    def changed(self, name: str, account: Account, incoming: Incoming) -> None:
        """The contacts changed, as the platform says: forget, for all accounts of this corp."""
        if incoming.event != CONTACTS_CHANGED or not isinstance(account, WeComApp):
            return
        fields = json.loads(incoming.data or "{}")
        person = fields.get("ChangeType") in OF_A_PERSON and not fields.get("NewUserID")
        user = str(fields.get("UserID", "")) if person else EVERYBODY
        homes = {name, *self._accounts.of_corp(account.corp_id)}
        everybody = self._accounts.everything().items()
        readers = {reader for reader, account in everybody if self.home(reader, account) in homes}
        self._database.write(lambda db: _forget(db, homes, readers | homes, user))
        log.info("contacts.changed", account=name, change=str(fields.get("ChangeType"))[:32])

    def _counts(self, known: _Known) -> bool:
        life = self._ages.found_s if known.exists else self._ages.missing_s
        return self._clock() - known.fetched_at < life

    def _fetch(self, home: str, app: WeComApp, user: str) -> tuple[int, ...]:
        """Ask, and keep the answer unless the contacts changed meanwhile. Raises `SendError`."""
        if self._api is None:
            raise RuntimeError("this process asks nobody")
        for _ in range(ROUNDS):
            changes = self._database.read(lambda db: _changes(db, home))
            found = look_up(self._api, app, user)
            known = _Known(found is not None, found or (), self._clock())
            if self._keep(home, user, known, changes):
                return known.departments
        return ()

    def _keep(self, home: str, user: str, known: _Known, changes: int) -> bool:
        return self._database.write(lambda db: _keep(db, home, user, known, changes))

    def _stale(self, known: _Known | None) -> tuple[int, ...]:
        """While the platform cannot be asked, what was known counts on for a while."""
        if known is None or self._clock() - known.fetched_at > self._ages.stale_s:
            return ()
        return known.departments

    def _read(self, home: str, user: str) -> _Known | None:
        found = sa.select(table).where(table.c.account == home, table.c.user == user)
        row = self._database.read(lambda db: db.execute(found).one_or_none())
        if row is None:
            return None
        return _Known(row.known, tuple(json.loads(row.departments)), row.fetched_at)


def _changes(db: sa.Connection, home: str) -> int:
    count = sa.select(table.c.changes).where(table.c.account == home, table.c.user == EVERYBODY)
    return db.scalar(count) or 0


def _keep(db: sa.Connection, home: str, user: str, known: _Known, changes: int) -> bool:
    """Store unless a change came since `changes` was read; False then."""
    _make_row(db, home, EVERYBODY)
    guard = sa.select(table.c.changes).where(table.c.account == home, table.c.user == EVERYBODY)
    if db.scalar(guard.with_for_update()) != changes:
        return False
    _make_row(db, home, user)
    db.execute(
        sa.update(table)
        .where(table.c.account == home, table.c.user == user)
        .values(
            known=known.exists,
            departments=json.dumps(known.departments),
            fetched_at=known.fetched_at,
        )
    )
    return True


def _forget(db: sa.Connection, homes: set[str], readers: set[str], user: str) -> None:
    """Forget one person, or everybody, of these accounts; what is being fetched now is not kept."""
    for home in sorted(homes):
        _make_row(db, home, EVERYBODY)
        db.execute(
            sa.update(table)
            .where(table.c.account == home, table.c.user == EVERYBODY)
            .values(changes=table.c.changes + 1)
        )
        gone = sa.delete(table).where(table.c.account == home, table.c.user != EVERYBODY)
        db.execute(gone.where(table.c.user == user) if user else gone)
    for reader in sorted(readers):
        tickets.withdraw(db, reader, user or None)


def _make_row(db: sa.Connection, home: str, user: str) -> None:
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    row = insert(table).values(account=home, user=user)
    db.execute(row.on_conflict_do_nothing(index_elements=["account", "user"]))
