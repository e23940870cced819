"""Which kinds of messages and events get an answer, and which are only noted; read by `ledger` and `compose`."""

from tool_server.channel.chat_commands import is_urgent
from tool_server.channel.surface import Incoming

# Events that somebody waits for an answer to. All others are noted.
ANSWERED_EVENTS: tuple[str, ...] = ()


def silent(incoming: Incoming) -> bool:
    """Whether this is noted and nothing more."""
    return incoming.kind == "event" and incoming.event not in ANSWERED_EVENTS


def urgent(incoming: Incoming) -> bool:
    """Whether this must not wait for what its person asked before."""
    return incoming.kind == "text" and is_urgent(incoming.text)
