"""What came with a message, on its way to Dify: pictures and files wait there for the question, voice becomes it.

A picture alone is kept for its person's next text; they are told so. Called by `compose`.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from prometheus_client import Counter

from tool_server.channel.account import Account
from tool_server.channel.apps import Apps, Profile
from tool_server.channel.dify import Attachment, Dify, DifyError
from tool_server.channel.inbound import Inbox, MediaError
from tool_server.channel.job import Job
from tool_server.channel.schema import attachments
from tool_server.channel.surface import Media
from tool_server.channel.voice import Voice
from tool_server.database import Database

# What a person is told of a kind that the app does not take.
NOT_TAKEN = {"image": "no_image", "document": "no_file", "audio": "no_file", "video": "no_video"}


@dataclass(frozen=True)
class Attachments:
    """Fetches, uploads, keeps. Fetching is done at once: an address is good for five minutes."""

    database: Database
    inbox: Inbox
    voice: Voice
    apps: Apps
    dify: Dify
    keep_s: float
    counter: Counter
    clock: Callable[[], float] = time.time

    def transcript(self, job: Job, account: Account) -> str:
        """What a voice message says. Raises `MediaError`."""
        media = _media(job)
        if not media:
            raise MediaError("voice_unclear", "no recording came")
        with self._counted(media[0]):
            self.voice.check()
            return self.voice.text_of(self.inbox.fetch(account, media[0]))

    def upload(self, job: Job, account: Account) -> int:
        """Give Dify what came with this message; how many files wait now. Raises `MediaError`, `DifyError`."""
        media = _media(job)
        if media and self._count_of(job) < len(media):
            profile = self.apps.profile(account)
            _check_taken(profile, media)
            self._keep(job, [self._upload(job, account, profile, one) for one in media])
        return len(self._waiting(job, self.apps.profile(account).files)) if media else 0

    def take(self, job: Job, account: Account) -> tuple[Attachment, ...]:
        """The files that go with this question: its own, and those that waited for it."""
        if not self._any(job):
            return ()
        rows = self._waiting(job, self.apps.profile(account).files)
        ids = [row.id for row in rows]
        self.database.write(
            lambda db: db.execute(
                sa.update(attachments).where(attachments.c.id.in_(ids)).values(taken_by=job.id)
            )
        )
        return tuple(Attachment(row.kind, row.upload_id) for row in rows)

    def give_back(self, job: Job) -> None:
        """The question had no answer: its files wait for the next one."""
        self.database.write(
            lambda db: db.execute(
                sa.update(attachments)
                .where(attachments.c.taken_by == job.id)
                .values(taken_by=0, at=self.clock())
            )
        )

    def forget(self, conversation: str) -> None:
        """Nothing waits any more."""
        self.database.write(
            lambda db: db.execute(
                sa.delete(attachments).where(
                    attachments.c.conversation == conversation, attachments.c.taken_by == 0
                )
            )
        )

    def _upload(self, job: Job, account: Account, profile: Profile, media: Media) -> Attachment:
        with self._counted(media):
            file = self.inbox.fetch(account, media)
            if file.type.group not in profile.takes:
                raise MediaError(NOT_TAKEN[file.type.group], "the app does not take it")
            upload_id = self.dify.upload(account, job.user, file.name, file.data, file.type.mime)
        return Attachment(file.type.group, upload_id)

    @contextmanager
    def _counted(self, media: Media) -> Iterator[None]:
        """One file in or not, in the metric."""
        try:
            yield
        except (MediaError, DifyError):
            self.counter.labels(media.kind, "refused").inc()
            raise
        self.counter.labels(media.kind, "taken").inc()

    def _keep(self, job: Job, uploaded: Sequence[Attachment]) -> None:
        """All files of a message at once: another lease finds all of them or none."""
        now = self.clock()
        rows = [
            {
                "message_id": job.id,
                "conversation": job.conversation,
                "kind": one.kind,
                "upload_id": one.upload_id,
                "at": now,
                "taken_by": 0,
            }
            for one in uploaded
        ]
        self.database.write(lambda db: db.execute(sa.insert(attachments), rows))

    def _count_of(self, job: Job) -> int:
        count = sa.select(sa.func.count()).select_from(attachments)
        own = count.where(attachments.c.message_id == job.id)
        return self.database.read(lambda db: db.scalar(own)) or 0

    def _any(self, job: Job) -> bool:
        found = sa.select(attachments.c.id).where(self._for(job)).limit(1)
        return self.database.read(lambda db: db.scalar(found)) is not None

    def _waiting(self, job: Job, most: int) -> list[sa.Row[Any]]:
        """The newest files for this person's next question, oldest first."""
        newest = sa.select(attachments).where(self._for(job)).order_by(attachments.c.id.desc())
        rows = self.database.read(lambda db: db.execute(newest.limit(most)).all())
        return list(reversed(rows))

    def _for(self, job: Job) -> sa.ColumnElement[bool]:
        waits = sa.and_(attachments.c.taken_by == 0, attachments.c.at > self.clock() - self.keep_s)
        return sa.and_(
            attachments.c.conversation == job.conversation,
            sa.or_(waits, attachments.c.taken_by == job.id),
        )


def _media(job: Job) -> list[Media]:
    return [Media(**one) for one in json.loads(job.media)]


def _check_taken(profile: Profile, media: Sequence[Media]) -> None:
    """Before anything is fetched: an app without files, or without pictures, will not take these."""
    for one in media:
        group = {"image": "image", "video": "video", "voice": "audio"}.get(one.kind)
        if not profile.takes or (group is not None and group not in profile.takes):
            raise MediaError(NOT_TAKEN[group or "document"], "the app does not take it")
