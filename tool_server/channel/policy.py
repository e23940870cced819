"""Who may ask, and how much: allow lists, groups, a daily number of questions; called by `compose` before it asks."""

import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tool_server.channel.account import Account
from tool_server.channel.job import Job
from tool_server.channel.people import People
from tool_server.channel.schema import messages, usage
from tool_server.database import Database

DAY = "%Y-%m-%d"


class Policy:
    """Says no with the name of a sentence (`words`), or nothing."""

    def __init__(
        self, database: Database, people: People, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._people = people
        self._clock = clock

    def refusal(self, account: Account, job: Job, *, counts: bool = True) -> str | None:
        """Why this message is not asked for: `groups_off`, `not_allowed`, `quota`; None where it may be.

        `counts` says that it is a question, not a command or an event. Each counts once, also when a worker died in it:
        its number is stored with it.
        """
        access = account.access
        if job.chat and access.groups == "ignore":
            return "groups_off"
        if not self._allowed(account, job):
            return "not_allowed"
        if counts and access.daily_questions and job.user not in access.admins:
            number = self._database.write(lambda db: _count(db, job, self._today()))
            if number > access.daily_questions:
                return "quota"
        return None

    def _allowed(self, account: Account, job: Job) -> bool:
        """Empty lists let everybody in; whose departments cannot be found out has none."""
        access = account.access
        if not access.users and not access.departments:
            return True
        if job.user in access.users or job.user in access.admins:
            return True
        if not access.departments:
            return False
        of = self._people.departments(job.account, account, job.user)
        return not set(access.departments).isdisjoint(of)

    def _today(self) -> str:
        return time.strftime(DAY, time.localtime(self._clock()))


def _count(db: sa.Connection, job: Job, day: str) -> int:
    """Which question of its person this message is today."""
    stored = sa.select(messages.c.question_number).where(messages.c.id == job.id)
    number = db.scalar(stored.with_for_update())
    if number:
        return int(number)
    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    key = {"account": job.account, "user": job.user, "day": day}
    row = insert(usage).values(**key, questions=1)
    one_more = {"questions": usage.c.questions + 1}
    counted = row.on_conflict_do_update(index_elements=list(key), set_=one_more)
    number = db.execute(counted.returning(usage.c.questions)).scalar_one()
    db.execute(sa.update(messages).where(messages.c.id == job.id).values(question_number=number))
    return int(number)
