"""What a request may see: the rights of its ticket, or of its key; for every route that shows knowledge."""

from tool_server.key_file import Key
from tool_server.knowledge.rights import PUBLIC, ResolveTicket, rights_of


def rights_at(
    key: Key, resolve_ticket: ResolveTicket, *, ticket: str, app: str, conversation: str
) -> frozenset[str]:
    """The person's where a ticket is given, the key's own where none is.

    A ticket that is unknown, too old or bound elsewhere opens what is public: a forged one must not open what the key
    may see, and a person's question must not fail for it.
    """
    if not ticket:
        return rights_of(None, key.rights)
    asker = resolve_ticket(ticket, app, conversation)
    return frozenset({PUBLIC}) if asker is None else rights_of(asker)
