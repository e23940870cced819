"""Cards and files that a tool of the app sends beside its answer, to the person of the message's ticket alone.

Called by `reply_routes`. What is accepted is a further piece of the message on disk; it goes out behind the answer. The
same content for the same message is one piece, however often it is sent: a run that is made again sends nothing twice.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from tool_server.access import Asker
from tool_server.channel import outbound, tickets
from tool_server.channel.account import Account, WeComApp, WeComBot, WeComKf
from tool_server.channel.accounts import Accounts
from tool_server.channel.dify_values import Produced
from tool_server.channel.filetype import file_type
from tool_server.channel.ledger import note
from tool_server.channel.links import Links
from tool_server.channel.outbound import Uploads
from tool_server.channel.schema import deliveries, messages
from tool_server.channel.schema import tickets as ticket_rows
from tool_server.channel.surface import Address, Card, Content, File, MediaKind
from tool_server.channel.surfaces import SURFACES
from tool_server.channel.wecom_errors import SendError
from tool_server.database import Database
from tool_server.errors import BadRequest, Unavailable
from tool_server.settings import Settings
from tool_server.words import Language, language_of, say

# Whether an address is that of a document which this person may see.
type IsSource = Callable[[Asker, str], bool]


# Replies are numbered from here on: behind every piece of an answer.
FIRST = 1001
KINDS: dict[str, MediaKind] = {"image": "image", "audio": "voice", "video": "video"}
# What a surface shows in place of what it cannot.
INSTEAD = {
    "wecom_bot": "AI bots by webhook show one text: put a link into the answer.",
    "wecom_bot_socket": "AI bots take cards from this tool, not files: let the app's answer hold the file.",
}


@dataclass(frozen=True)
class Presented:
    """A ticket with the place where it is used."""

    ticket: str
    app: str
    conversation: str


@dataclass(frozen=True)
class Wanted:
    """What a card shall show, as the tool was told."""

    title: str
    text: str
    link: str
    asks: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What became of a reply: its kind, and whether it was here before."""

    kind: str
    again: bool


@dataclass(frozen=True)
class _Message:
    """The message that a ticket stands for."""

    id: int
    asker: Asker
    account: Account
    address: Address
    stream: str
    language: Language


@dataclass(frozen=True)
class Replies:
    """Accepts replies; holds nothing of one between two calls."""

    settings: Settings
    database: Database
    accounts: Accounts
    uploads: Uploads
    is_source: IsSource

    def card(self, presented: Presented, wanted: Wanted) -> Kept:
        """A card for the asker. Raises `BadRequest` with a sentence for the workflow's author."""
        message = self._message(presented)
        if isinstance(message.account, WeComBot):
            raise BadRequest(f"card: {INSTEAD['wecom_bot']}", param="card")
        digest = _digest("card", json.dumps(astuple(wanted)).encode())
        return self._keep(message, digest, self._drawn(message, wanted, digest), "card")

    def file(self, presented: Presented, name: str, data: bytes) -> Kept:
        """A picture or a file for the asker. Raises `BadRequest`, `Unavailable`."""
        message = self._message(presented)
        if not isinstance(message.account, WeComApp | WeComKf):
            why = INSTEAD.get(message.account.surface, "this surface takes no files.")
            raise BadRequest(f"file: {why}", param="file")
        digest = _digest("file", name.encode(), data)
        found = self.database.read(lambda db: _held(db, message.id, digest))
        if found.again:  # the platform has it already
            return Kept("file", True)
        self._check_room(message.account, found.count)
        return self._keep(message, digest, self._uploaded(message.account, name, data), "file")

    def _message(self, presented: Presented) -> _Message:
        """The ticket's message, as long as its answer is being made. Raises `BadRequest`."""
        database = self.database
        asker = tickets.resolve(database, presented.ticket, presented.app, presented.conversation)
        found = (
            sa.select(messages)
            .join(ticket_rows, ticket_rows.c.message_id == messages.c.id)
            .where(ticket_rows.c.ticket == presented.ticket)
        )
        row = database.read(lambda db: db.execute(found).one_or_none())
        account = self.accounts.get(row.account) if row is not None else None
        if asker is None or row is None or account is None:
            raise BadRequest(
                "ticket: it is unknown, too old, or was used elsewhere; enter the start variable "
                '"ticket" of a message from WeChat.',
                param="ticket",
            )
        address = Address(row.user, row.chat, row.handle)
        language = language_of(row.question, account.language)
        return _Message(row.id, asker, account, address, row.stream_id, language)

    def _drawn(self, message: _Message, wanted: Wanted, digest: str) -> Card:
        """The card, with a link only to where answers may lead."""
        settings = self.settings
        own = (settings.channel_public_url, settings.knowledge_public_url)
        hosts = [*settings.channel_link_hosts.split(","), *(urlsplit(url).netloc for url in own)]
        known = [wanted.link] if wanted.link and self.is_source(message.asker, wanted.link) else []
        links = Links.of(known, filter(None, hosts))
        link = links.target(wanted.link)
        if wanted.link and not link:
            raise BadRequest(
                "card.link: it leads to no source that this person may see and to no host of "
                "SHENQIAO_CHANNEL_LINK_HOSTS.",
                param="card.link",
            )
        left_out = say("link_left_out", message.language)
        title, text, *asks = (
            links.scrub(part, left_out) for part in (wanted.title, wanted.text, *wanted.asks)
        )
        task = f"{message.stream}-{digest[:16]}"
        return Card(title, text, link, tuple(asks), task, message.language)

    def _uploaded(self, account: Account, name: str, data: bytes) -> File:
        """The file as the platform holds it; what it is, its bytes say."""
        found = file_type(data, name)
        if found is None:
            raise BadRequest(
                "file: its content is of no known kind; pictures, AMR, MP4, PDF, Office files and texts are sent.",
                param="file",
            )
        stem = PurePosixPath(name or "file").stem
        produced = Produced(KINDS.get(found.group, "file"), "", f"{stem}.{found.ending}")
        try:
            ready = outbound.fit(produced, data)
            return File(
                ready.kind, self.uploads.upload(account, ready.kind, ready.name, ready.data)
            )
        except outbound.Unfit as error:
            raise BadRequest(f"file: {error}.", param="file") from None
        except SendError as error:
            raise Unavailable(
                f"WeCom does not take this file now (code {error.code}): docs/errors.md says why."
            ) from None

    def _keep(self, message: _Message, digest: str, content: Content, kind: str) -> Kept:
        """One transaction decides whether it is new and whether there is room for it."""

        def work(db: sa.Connection) -> Kept:
            waiting = sa.select(messages.c.state, messages.c.stopped_at).where(
                messages.c.id == message.id
            )
            row = db.execute(waiting.with_for_update()).one()
            held = _held(db, message.id, digest)
            if held.again:
                return Kept(kind, True)
            if row.state not in ("received", "asking") or row.stopped_at is not None:
                raise BadRequest(
                    "ticket: the answer to this message is on its way already, or its person has stopped it; "
                    "send before the answer ends.",
                    param="ticket",
                )
            self._check_room(message.account, held.count)
            ordinal = FIRST + held.count
            (body,) = SURFACES[message.account.surface].bodies(
                message.account, message.address, [content], message_id=message.id, first=ordinal
            )
            _insert(db, message.id, ordinal, body, digest)
            note(db, message.id, "reply.kept", kind=kind, ordinal=ordinal)
            return Kept(kind, False)

        return self.database.write(work)

    def _check_room(self, account: Account, held: int) -> None:
        """One piece of what the surface allows is left to the answer. Raises `BadRequest`."""
        pieces = SURFACES[account.surface].LIMITS.pieces
        most = self.settings.channel_replies
        most = min(most, pieces - 1) if pieces else most
        if held >= most:
            raise BadRequest(
                f"ticket: {most} cards and files may be sent with one answer.", param="ticket"
            )


def no_source(_asker: Asker, _url: str) -> bool:
    """For a channel without knowledge."""
    return False


@dataclass(frozen=True)
class _Held:
    """How many replies a message has, and whether this one is among them."""

    count: int
    again: bool


def count(db: sa.Connection, message_id: int) -> int:
    """The replies that go out behind the answer to a message; for `finish` and `ending`."""
    return _held(db, message_id, "").count


def _held(db: sa.Connection, message_id: int, digest: str) -> _Held:
    found = sa.select(deliveries.c.reply).where(
        deliveries.c.message_id == message_id, deliveries.c.reply != ""
    )
    held = db.scalars(found).all()
    return _Held(len(held), digest in held)


def _insert(db: sa.Connection, message_id: int, ordinal: int, body: str, digest: str) -> None:
    values: dict[str, Any] = {"message_id": message_id, "ordinal": ordinal, "body": body}
    db.execute(sa.insert(deliveries).values(**values, state="pending", reply=digest))


def _digest(kind: str, *parts: bytes) -> str:
    """Another for another content; parts cannot run into each other."""
    hashed = hashlib.sha256(kind.encode())
    for part in parts:
        hashed.update(len(part).to_bytes(8))
        hashed.update(part)
    return hashed.hexdigest()
