"""The stream's part of the ledger: what a refresh shows, and how a stream ends, once; used by `refreshes`.

A message in mode `stream` ends in one of two ways, each by compare-and-set on its row. Its answer is fetched with the
finish; or the stream is closed without it (`stream_end`), and the answer is pushed.
"""

import time
from dataclasses import dataclass

import sqlalchemy as sa

from tool_server.channel.ledger import note
from tool_server.channel.pictures import kept
from tool_server.channel.schema import messages
from tool_server.channel.surface import Picture
from tool_server.database import Database

ANSWERED = ("answered", "done")


@dataclass(frozen=True)
class Stream:
    """A message as its stream is asked for."""

    id: int
    mode: str
    state: str
    question: str
    stream_id: str
    stream: str
    stream_end: str
    answer: str
    received_at: float
    wait_until: float

    @property
    def answered(self) -> bool:
        """Whether the whole answer is there, and the stream may still bring it."""
        return self.mode == "stream" and self.state in ANSWERED


class Streams:
    """Reads are one row by its index; each write is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self, account: str, stream_id: str) -> Stream | None:
        """The message of this stream; None where the account has none."""
        columns = (messages.c[name] for name in Stream.__dataclass_fields__)
        found = sa.select(*columns).where(
            messages.c.stream_id == stream_id, messages.c.account == account
        )
        row = self._database.read(lambda db: db.execute(found).one_or_none())
        return None if row is None else Stream(**row._mapping)

    def believe(self, stream: Stream, until: float) -> None:
        """The platform comes for this stream: it will be believed to do so until then."""
        self._database.write(
            lambda db: db.execute(
                sa.update(messages)
                .where(messages.c.id == stream.id, messages.c.mode == "stream")
                .values(wait_until=until)
            )
        )

    def fetch(self, stream: Stream) -> float | None:
        """The whole answer is handed out now: when, for `miss`; None where it is pushed meanwhile."""
        return self._database.write(lambda db: _fetch(db, stream))

    def pictures(self, stream: Stream) -> list[Picture]:
        """What its finish carries besides the text."""
        return self._database.read(lambda db: kept(db, stream.id))

    def miss(self, stream: Stream, fetched_at: float) -> None:
        """Whoever fetched the answer was gone, and nobody has fetched it since: it waits again."""

        def work(db: sa.Connection) -> None:
            changed = db.execute(
                sa.update(messages)
                .where(messages.c.id == stream.id, messages.c.fetched_at == fetched_at)
                .values(fetched_at=None, finished_at=None, state="answered")
            ).rowcount
            if changed:
                note(db, stream.id, "stream.missed")

        self._database.write(work)

    def hand_over(self, stream: Stream, content: str) -> bool:
        """End the stream with `content`, its answer is pushed; False where the answer came, or it was ended, before."""

        def work(db: sa.Connection) -> bool:
            changed = db.execute(
                sa.update(messages)
                .where(
                    messages.c.id == stream.id,
                    messages.c.stream_end == "",
                    sa.or_(messages.c.mode != "stream", messages.c.state.not_in(ANSWERED)),
                )
                .values(mode="push", stream_end=content)
            ).rowcount
            if changed:
                note(db, stream.id, "stream.closed", bytes=len(content.encode()))
            return bool(changed)

        return self._database.write(work)


def _fetch(db: sa.Connection, stream: Stream) -> float | None:
    now = time.time()
    changed = db.execute(
        sa.update(messages)
        .where(
            messages.c.id == stream.id,
            messages.c.mode == "stream",
            messages.c.state.in_(ANSWERED),
        )
        .values(fetched_at=now, finished_at=now, state="done")
    ).rowcount
    if not changed:
        return None
    if stream.state == "answered":
        note(db, stream.id, "stream.fetched", bytes=len(stream.answer.encode()))
    return now
