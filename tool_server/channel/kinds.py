"""Which kinds of messages and events get what: an answer, a sentence, or only a note; for `ledger` and `compose`."""

from collections.abc import Mapping
from typing import Protocol

from tool_server.channel import chat_commands
from tool_server.channel.chat_commands import Command
from tool_server.channel.surface import Incoming

# Events that a worker looks at, by the names that all surfaces give them. All others are noted.
ANSWERED_EVENTS: tuple[str, ...] = ("enter", "click", "card", "feedback")
# Those after which nothing is said: no connection waits for them.
QUIET_EVENTS: tuple[str, ...] = ("card", "feedback")
# Kinds that are asked as they are; those with media have a way of their own.
ASKED = ("text", "link", "mixed")
WITH_FILES = ("image", "video", "file", "mixed")
# The sentence for what nobody can answer; other kinds get the last one.
SENTENCES: Mapping[str, str] = {
    "location": "no_location",
    "merged_msg": "no_forwards",
    "chatrecord": "no_forwards",
    "miniprogram": "no_program",
    "business_card": "no_card",
    "channels_shop_product": "no_program",
}
UNKNOWN_KIND = "unknown_kind"


class Said(Protocol):
    """What a leased message (`work.Job`) says, as far as its kind goes."""

    @property
    def kind(self) -> str: ...

    @property
    def event(self) -> str: ...

    @property
    def question(self) -> str: ...

    @property
    def chat(self) -> str: ...


def silent(incoming: Incoming) -> bool:
    """Whether this is noted and nothing more."""
    return incoming.kind == "event" and incoming.event not in ANSWERED_EVENTS


def quiet(incoming: Incoming) -> bool:
    """Whether nothing will be said to this, so that no connection need wait."""
    return silent(incoming) or (incoming.kind == "event" and incoming.event in QUIET_EVENTS)


def urgent(incoming: Incoming) -> bool:
    """Whether this must not wait for what its person asked before: /stop, and what asks nothing."""
    if incoming.kind == "event" and incoming.event != "click":
        return True
    return _command(incoming.kind, incoming.event, incoming.text, incoming.chat) == "stop"


def command(job: Said) -> Command | None:
    """The command in a message, or behind a menu's button."""
    return _command(job.kind, job.event, job.question, job.chat)


def is_event(job: Said) -> bool:
    """Whether a person did something other than asking; a menu's button asks."""
    return job.kind == "event" and job.event != "click"


def is_question(job: Said) -> bool:
    """Whether the app is asked for this, as far as one can tell before a voice is heard."""
    asks = bool(job.question) or job.kind == "voice"
    return asks and not is_event(job) and command(job) is None and sentence(job.kind) is None


def sentence(kind: str) -> str | None:
    """The name of the sentence for a kind that cannot be answered; None for one that can."""
    if kind in (*ASKED, *WITH_FILES, "voice", "event"):
        return None
    return SENTENCES.get(kind, UNKNOWN_KIND)


def _command(kind: str, event: str, text: str, chat: str) -> Command | None:
    if kind != "text" and event != "click":
        return None
    return chat_commands.read(text, group=bool(chat), key=event == "click")
