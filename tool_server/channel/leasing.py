"""Which messages a worker may take next, and the write that takes them under a lease; for `work`."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from tool_server.channel.job import Job
from tool_server.channel.ledger import UNFINISHED
from tool_server.channel.schema import messages

# Dead workers after which a message is suspected of being the reason: of such ones a worker has one at a time, so that
# those beside it are not counted with it for ever.
SUSPECT = 2
_EARLIER = messages.alias("earlier")
_BLOCKED = sa.exists().where(
    _EARLIER.c.conversation == messages.c.conversation,
    _EARLIER.c.waits_for == "worker",
    _EARLIER.c.id < messages.c.id,
    _EARLIER.c.turn > 0.0,
)
_TAKE = (  # made once: building it costs more than running it
    sa.update(messages)
    .where(messages.c.id.in_(sa.bindparam("numbers", expanding=True)))
    .values(
        owner=sa.bindparam("by"),
        lease_until=sa.bindparam("until"),
        fence=messages.c.fence + 1,
        # A lease that ended of itself is another worker's that is dead or silent, or ours while the database was away.
        takeovers=messages.c.takeovers
        + sa.case((messages.c.owner.in_(("", sa.bindparam("by"))), 0), else_=1),
        state=sa.case((messages.c.state == "received", "asking"), else_=messages.c.state),
    )
    .returning(*(messages.c[name] for name in Job.__dataclass_fields__))
)


def free_message(
    now: float, without: Collection[str], quick: bool, suspects: bool = True
) -> sa.Select[tuple[int, int]]:
    """The next message that nobody works on, none of its conversation before it, in the order of their turns."""
    mine = sa.true() if not without else messages.c.account.not_in(without)
    free = sa.and_(UNFINISHED, messages.c.next_at <= now, messages.c.lease_until <= now, mine)
    known = sa.true() if suspects else messages.c.takeovers < SUSPECT
    turn = messages.c.turn == 0.0 if quick else sa.or_(messages.c.turn == 0.0, ~_BLOCKED)
    chosen = sa.select(messages.c.id, messages.c.takeovers).where(free, turn, known)
    return chosen.order_by(messages.c.turn).limit(1)


def take(
    db: sa.Connection, found: sa.Select[tuple[int, int]], *, by: str, until: float
) -> list[Job]:
    """Lease what was found, at most one suspect of it, in its order."""
    numbers = _with_one_suspect(db.execute(found.with_for_update(skip_locked=True)))
    if not numbers:
        return []
    names = {"numbers": numbers, "by": by, "until": until}
    taken = {row.id: Job(**row._mapping) for row in db.execute(_TAKE, names)}
    return [taken[number] for number in numbers]


def _with_one_suspect(rows: Iterable[sa.Row[tuple[int, int]]]) -> list[int]:
    """Their ids; of those of which workers may have died, the first alone."""
    numbers: list[int] = []
    met = False
    for number, takeovers in rows:
        if takeovers < SUSPECT or not met:
            numbers.append(number)
        met = met or takeovers >= SUSPECT
    return numbers
