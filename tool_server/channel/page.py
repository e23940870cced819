"""Answers that are too long for their chat, as pages behind a random address; made by `finish`, shown by `page_routes`.

Only a digest of the address is kept. A page goes when its time is over.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from tool_server.channel.schema import pages
from tool_server.database import Database
from tool_server.settings import Settings
from tool_server.words import Language

SECRET_BYTES = 24
# An address of ours is never longer.
LONGEST_SECRET = 64


@dataclass(frozen=True)
class Page:
    """What a page shows: safe markdown, to `user` of `account` alone where one is named."""

    message_id: int
    account: str
    user: str
    text: str
    language: Language
    expires_at: float


class Pages:
    """The table of pages."""

    def __init__(
        self, database: Database, *, ttl_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._ttl_s = ttl_s
        self._clock = clock

    @classmethod
    def open(cls, settings: Settings, database: Database) -> "Pages":
        return cls(database, ttl_s=settings.channel_page_ttl_s)

    def expiry(self) -> float:
        """When a page that is made now will be gone."""
        return self._clock() + self._ttl_s

    def keep(self, page: Page) -> str:
        """Store a page; the secret of its address, which nobody can tell from what is stored. Old pages go."""
        secret = secrets.token_urlsafe(SECRET_BYTES)

        def work(db: sa.Connection) -> None:
            db.execute(sa.delete(pages).where(pages.c.expires_at < self._clock()))
            db.execute(
                sa.insert(pages).values(
                    id=digest(secret),
                    message_id=page.message_id,
                    account=page.account,
                    user=page.user,
                    text=page.text,
                    language=page.language,
                    expires_at=page.expires_at,
                )
            )

        self._database.write(work)
        return secret

    def read(self, secret: str) -> Page | None:
        """The page behind an address, if there is one and its time is not over."""
        if len(secret) > LONGEST_SECRET:
            return None
        found = sa.select(pages).where(pages.c.id == digest(secret))
        row = self._database.read(lambda db: db.execute(found).one_or_none())
        if row is None or row.expires_at < self._clock():
            return None
        language: Language = "en" if row.language == "en" else "zh"
        return Page(row.message_id, row.account, row.user, row.text, language, row.expires_at)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
