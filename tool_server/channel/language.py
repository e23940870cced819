"""In which language a person is answered; called by `finish` and by who says a sentence of our own."""

from dataclasses import dataclass

import sqlalchemy as sa

from tool_server.channel.account import Account
from tool_server.channel.job import Job
from tool_server.channel.schema import messages
from tool_server.database import Database
from tool_server.words import Language, language_in, say

# Earlier questions of a person that are looked at for one that tells a language.
LOOKED_AT = 5
COMMAND_MARKS = ("/", "／")


def language_for(database: Database, job: Job, account: Account) -> Language:
    """That of the question; where it tells none ("1+1?") that of the person's questions before; else the account's."""
    told = _told(job.question)
    if told is not None:
        return told
    earlier = (
        sa.select(messages.c.question)
        .where(messages.c.conversation == job.conversation, messages.c.id < job.id)
        .order_by(messages.c.id.desc())
        .limit(LOOKED_AT)
    )
    questions = database.read(lambda db: db.scalars(earlier).all())
    found = (_told(question) for question in questions)
    return next((language for language in found if language), account.language)


@dataclass(frozen=True)
class Speaker:
    """Says our own sentences in a person's language."""

    database: Database

    def language(self, job: Job, account: Account) -> Language:
        return language_for(self.database, job, account)

    def say(self, name: str, job: Job, account: Account, **values: int) -> str:
        """The sentence called `name`, with its numbers filled in."""
        return say(name, self.language(job, account)).format(**values)


def _told(text: str) -> Language | None:
    """The language of a text; a command in Latin letters is written by everybody and tells none."""
    told = language_in(text)
    return None if told == "en" and text.lstrip().startswith(COMMAND_MARKS) else told
