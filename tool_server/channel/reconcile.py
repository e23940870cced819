"""Does it add up? The platform's side, the ledger and the log, minute by minute; for `shenqiao reconcile`.

Received = answered + told busy + noted + stopped + failed with a reason (+ erased, + still open); each piece sent once.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tool_server.channel.schema import deliveries, events, messages
from tool_server.database import Database

MINUTE_S = 60
# Longer than any answer takes with all its tries; what is open for longer is a difference.
PATIENCE_S = 3600.0
OUTCOMES = ("answered", "busy", "noted", "stopped", "failed", "erased", "open")
# Differences that are told one by one.
TOLD = 50
# Ledger rows that are read at once.
PAGE = 5000
# Events of messages that end well without an answer.
WITHOUT_ANSWER = ("noted", "nothing")


@dataclass(frozen=True)
class Window:
    """What is looked at, in seconds since 1970."""

    since: float
    until: float

    def holds(self, at: float) -> bool:
        return self.since <= at < self.until


@dataclass
class Platform:
    """What the platform knows: messages with time and sender, whether it could hand them over, what was shown."""

    written: dict[str, tuple[float, str]] = field(default_factory=dict)
    taken: dict[str, bool] = field(default_factory=dict)
    shown: list[tuple[float, str]] = field(default_factory=list)  # time and person

    @classmethod
    def read(cls, lines: Iterable[str]) -> "Platform":
        """From JSON lines as `playground.wechat.export` writes them. Raises `ValueError` for others."""
        side = cls()
        for line in lines:
            if line.strip():
                side._add(json.loads(line))
        return side

    def _add(self, row: Mapping[str, Any]) -> None:
        name = str(row.get("id", ""))
        match row.get("what"):
            case "written" if name:
                self.written[name] = (float(row["at"]), str(row["user"]))
            case "delivered":
                self.taken[name] = self.taken.get(name, False) or bool(row["taken"])
            case "shown":
                self.shown.append((float(row["at"]), str(row["user"])))


@dataclass
class Log:
    """Numbers of the messages that the log says were claimed, with the time of the first line."""

    claimed: dict[int, float] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str]) -> "Log":
        """From our own log; lines of others are passed over."""
        side = cls()
        for line in lines:
            if '"message.claimed"' not in line:
                continue
            try:
                row = json.loads(line)
                at = datetime.fromisoformat(row["timestamp"]).timestamp()
                side.claimed.setdefault(int(row["message"]), at)
            except (ValueError, KeyError, TypeError):  # the last line of a process that was killed
                continue
        return side


@dataclass
class Result:
    """Counts by minute, and each difference as a sentence; `difference` is 0 when everything adds up."""

    minutes: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    told: list[str] = field(default_factory=list)
    difference: int = 0

    def count(self, at: float, name: str) -> None:
        self.minutes[int(at // MINUTE_S) * MINUTE_S][name] += 1

    def differs(self, at: float, sentence: str, by: int = 1) -> None:
        self.minutes[int(at // MINUTE_S) * MINUTE_S]["difference"] += by
        self.difference += by
        if len(self.told) < TOLD:
            self.told.append(sentence)

    @property
    def total(self) -> Counter[str]:
        return sum(self.minutes.values(), Counter())


def reconcile(
    database: Database, window: Window, *, platform: Platform | None = None, log: Log | None = None
) -> Result:
    """Compare what is given with the ledger; without either the ledger is compared with itself."""
    result, erased, expected = Result(), 0, Counter[str]()
    seen: set[str] = set()
    for row in _rows(database, window):
        outcome = _outcome(row, window.until)
        result.count(row["received_at"], "received")
        result.count(row["received_at"], outcome or "open")
        _check(result, row, outcome)
        erased += outcome == "erased"
        expected[row["user"]] += _shown_of(row)
        seen.add(row["platform_id"])
        if log is not None and row["id"] in log.claimed:
            result.count(row["received_at"], "logged")
        elif log is not None:
            result.differs(row["received_at"], f"message {row['id']}: the log does not know it")
        if platform is not None and row["kind"] != "event" and outcome != "erased":
            _check_written(result, row, platform)
    if log is not None:
        _check_logged(result, database, window, log)
    if platform is not None:
        _check_taken(result, window, platform, seen, erased)
        if not erased:  # what an erased person was shown is not known any more
            _check_shown(result, window, platform, expected)
    return result


def _rows(database: Database, window: Window) -> Iterator[dict[str, Any]]:
    """The ledger's messages in the window, each with the numbers of its pieces by state."""
    names = ("id", "platform_id", "user", "kind", "state", "mode", "busy", "turn", "waits_for")
    times = ("received_at", "fetched_at", "stopped_at", "fault")
    columns = [messages.c[name] for name in (*names, *times)]
    answered = (sa.func.length(messages.c.answer) > 0).label("has_answer")
    last = 0
    while True:
        page = (
            sa.select(*columns, answered)
            .where(
                messages.c.id > last,
                messages.c.received_at >= window.since,
                messages.c.received_at < window.until,
            )
            .order_by(messages.c.id)
            .limit(PAGE)
        )
        rows = database.read(lambda db, page=page: [dict(r) for r in db.execute(page).mappings()])  # type: ignore[misc]  # bound in each round
        if not rows:
            return
        first, last = rows[0]["id"], rows[-1]["id"]
        pieces, ended = _pieces(database, first, last), _ended(database, first, last)
        for row in rows:
            yield row | {"pieces": pieces.get(row["id"], {}), "ended": row["id"] in ended}


def _pieces(database: Database, first: int, last: int) -> dict[int, dict[str, int]]:
    found = (
        sa.select(deliveries.c.message_id, deliveries.c.state, sa.func.count())
        .where(deliveries.c.message_id.between(first, last))
        .group_by(deliveries.c.message_id, deliveries.c.state)
    )
    pieces: dict[int, dict[str, int]] = defaultdict(dict)
    for number, state, count in database.read(lambda db: db.execute(found).all()):
        pieces[number][state] = count
    return pieces


def _ended(database: Database, first: int, last: int) -> set[int]:
    """Messages whose life says that they need no answer."""
    found = sa.select(events.c.message_id).where(
        events.c.message_id.between(first, last), events.c.name.in_(WITHOUT_ANSWER)
    )
    return set(database.read(lambda db: db.scalars(found).all()))


def _outcome(row: Mapping[str, Any], until: float) -> str | None:
    """What became of a message; None for what ended without a trace of how."""
    if row["state"] in ("failed", "erased"):
        return str(row["state"])
    if row["waits_for"] is not None:
        return "open" if until - row["received_at"] < PATIENCE_S else None
    if row["busy"]:
        return "busy"
    if row["has_answer"]:
        return "answered"
    if row["stopped_at"] is not None:
        return "stopped"
    return "noted" if row["ended"] else None


def _shown_of(row: Mapping[str, Any]) -> int:
    """Bubbles that a person must have seen of a message."""
    passive = row["mode"] in ("passive", "stream") and row["fetched_at"] is not None
    return int(passive) + int(row["pieces"].get("sent", 0))


def _check(result: Result, row: Mapping[str, Any], outcome: str | None) -> None:
    """A message by itself: it ended somehow, and what it was to show was shown."""
    at, name = row["received_at"], f"message {row['id']} ({row['platform_id']})"
    if outcome is None:
        result.differs(at, f"{name}: {row['state']}, and nothing says why")
    elif outcome == "failed" and not row["fault"]:
        result.differs(at, f"{name}: failed without a reason")
    elif outcome == "answered" or (outcome == "busy" and row["turn"] == 0.0):
        if row["pieces"].get("pending"):
            result.differs(at, f"{name}: is done, but pieces are pending")
        elif not _shown_of(row):
            result.differs(at, f"{name}: is answered, but nothing was delivered")


def _check_written(result: Result, row: Mapping[str, Any], platform: Platform) -> None:
    if row["platform_id"] not in platform.written:
        sentence = f"message {row['id']} ({row['platform_id']}): the platform does not know it"
        result.differs(row["received_at"], sentence)


def _check_logged(result: Result, database: Database, window: Window, log: Log) -> None:
    """What the log says was claimed is in the ledger."""
    inside = [(number, at) for number, at in log.claimed.items() if window.holds(at)]
    for start in range(0, len(inside), PAGE):
        part = dict(inside[start : start + PAGE])
        found = sa.select(messages.c.id).where(
            messages.c.id.between(min(part), max(part)), messages.c.id.in_(list(part)[:PAGE])
        )
        known = set(database.read(lambda db, found=found: db.scalars(found).all()))  # type: ignore[misc]  # bound in each round
        for number in part.keys() - known:
            result.differs(part[number], f"message {number}: in the log, not in the ledger")


def _check_taken(
    result: Result, window: Window, platform: Platform, seen: set[str], erased: int
) -> None:
    """What the platform could hand over is in the ledger. Erased messages have no id: as many may be missing."""
    for name, (at, user) in platform.written.items():
        if not window.holds(at):
            continue
        result.count(at, "written")
        if name in seen:
            continue
        if not platform.taken.get(name, True):
            result.count(at, "refused")
        elif erased > 0:
            erased -= 1
        else:
            result.differs(at, f"{name} of {user}: the platform handed it over, we do not have it")


def _check_shown(
    result: Result, window: Window, platform: Platform, expected: Mapping[str, int]
) -> None:
    """Each person saw as many bubbles as the ledger says were delivered."""
    shown, last = Counter[str](), dict[str, float]()
    for at, user in platform.shown:
        if window.holds(at):
            shown[user] += 1
            last[user] = at
    for user in shown.keys() | expected.keys():
        if by := abs(shown[user] - expected.get(user, 0)):
            sentence = (
                f"{user}: saw {shown[user]} answers, the ledger delivered {expected.get(user, 0)}"
            )
            result.differs(last.get(user, window.since), sentence, by)
