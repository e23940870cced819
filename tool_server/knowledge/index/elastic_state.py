"""What an index in Elasticsearch says of itself: which change it holds, whose it is, who writes it; for `elastic`.

One document in the index itself. It is exchanged by its sequence number there: of two writers one fails.
"""

from dataclasses import asdict, dataclass, replace

from elasticsearch import ConflictError, Elasticsearch, NotFoundError

from tool_server.knowledge.index import IndexBusy
from tool_server.knowledge.index.elastic_schema import SCHEMA, STATE

# How long a writer on another machine that said nothing since still counts as writing.
LEASE_S = 60.0


@dataclass(frozen=True)
class State:
    """`applied`: number of the last change in the index. `session` is its writer's, "" where nobody writes."""

    owner: str  # the installation
    applied: int
    schema: int = SCHEMA
    session: str = ""
    machine: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Kept:
    """A state as it lies in the index, and what exchanging it needs."""

    state: State
    index: str
    seq_no: int
    primary_term: int


def read(client: Elasticsearch, index: str) -> Kept | None:
    """None where there is no such index or alias, or nothing in it that says what it holds."""
    try:
        found = client.get(index=index, id=STATE)
    except NotFoundError:
        return None
    try:
        state = State(**found["_source"]["state"])
    except (KeyError, TypeError):
        return None
    return Kept(state, found["_index"], found["_seq_no"], found["_primary_term"])


def create(client: Elasticsearch, index: str, state: State) -> Kept:
    """In a new index, before its alias is there."""
    done = client.create(index=index, id=STATE, document={"state": asdict(state)})
    return Kept(state, done["_index"], done["_seq_no"], done["_primary_term"])


def exchange(client: Elasticsearch, kept: Kept, **changes: object) -> Kept:
    """Raises `IndexBusy` where another writer changed it meanwhile."""
    state = replace(kept.state, **changes)  # type: ignore[arg-type]  # fields by name
    try:
        done = client.index(
            index=kept.index,
            id=STATE,
            document={"state": asdict(state)},
            if_seq_no=kept.seq_no,
            if_primary_term=kept.primary_term,
        )
    except ConflictError:
        raise IndexBusy("Another machine took the index over.") from None
    return Kept(state, kept.index, done["_seq_no"], done["_primary_term"])


def claim(client: Elasticsearch, kept: Kept, *, session: str, machine: str, now: float) -> Kept:
    """Become its writer. Raises `IndexBusy` while one on another machine is at it."""
    state = kept.state
    if state.session and state.machine != machine and now - state.at < LEASE_S:
        raise IndexBusy("Another machine is writing the index.")
    return exchange(client, kept, session=session, machine=machine, at=now)


def of_another(prefix: str) -> str:
    """What people are told of an index that is not this installation's."""
    return (
        f"The index {prefix!r} in Elasticsearch belongs to another installation: set"
        " SHENQIAO_KNOWLEDGE_ELASTICSEARCH_PREFIX, or take it over with `shenqiao index rebuild`."
    )
