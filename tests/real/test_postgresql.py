"""The ledger on a real PostgreSQL: what happens when it goes away, several nodes, and what is never in a message."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.channel.conftest import claim, ledger_of
from tests.postgres import PASSWORD, Missing, Postgres, running
from tests.waiting import wait_for
from tool_server import wake, wake_nodes
from tool_server.channel.schema import messages
from tool_server.database import Database, DatabaseAway, OutcomeUnknown
from tool_server.migrate import migrate
from tool_server.settings import Settings, SettingsError, load

type Node = Callable[..., Settings]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    try:
        with running() as server:
            yield server
    except Missing as error:
        pytest.skip(str(error))


@pytest.fixture
def node(tmp_path: Path, server: Postgres) -> Node:
    """Settings of one machine of an installation: folders of its own, the database of all."""
    url = server.new_database()

    def make(name: str = "a", **changes: str) -> Settings:
        return load(
            {
                "SHENQIAO_DATA_DIR": str(tmp_path / name),
                "SHENQIAO_RUN_DIR": str(tmp_path / f"r{name}"),
                "SHENQIAO_MODEL_ENABLED": "false",
                "SHENQIAO_KNOWLEDGE_ENABLED": "false",
                "SHENQIAO_DATABASE_URL": url,
                **changes,
            }
        )

    return make


@pytest.fixture
def database(node: Node) -> Iterator[Database]:
    settings = node()
    migrate(settings)
    database = Database.open(settings)
    yield database
    database.close()


def count(database: Database) -> int:
    found = sa.select(sa.func.count()).select_from(messages)
    return database.read(lambda db: db.scalar(found)) or 0


def test_nodes_that_start_together_migrate_one_after_the_other(node: Node) -> None:
    nodes = [node(str(number)) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(migrate, nodes))
    database = Database.open(nodes[0])
    assert count(database) == 0
    database.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((PASSWORD, "wrong-password-of-tests"), "user or password are wrong"),
        (("/t", "/no-such-database-t"), "there is no such database"),
        (("127.0.0.1:", "127.0.0.1:1"), ""),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_the_password(
    node: Node, server: Postgres, change: tuple[str, str], said: str
) -> None:
    url = server.url("t").replace(*change)
    with pytest.raises(SettingsError) as caught:
        migrate(node(SHENQIAO_DATABASE_URL=url))
    sentence = str(caught.value)
    assert sentence.startswith("SHENQIAO_DATABASE_URL: PostgreSQL at 127.0.0.1:")
    assert said in sentence
    assert "password-of-tests" not in sentence
    assert "\n" not in sentence


def test_an_address_of_another_kind_is_refused_without_being_shown(node: Node) -> None:
    with pytest.raises(SettingsError) as caught:
        node(SHENQIAO_DATABASE_URL=f"mysql://root:{PASSWORD}@db/x")
    assert "SHENQIAO_DATABASE_URL" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(node())


def test_a_write_that_met_another_is_done_again(database: Database) -> None:
    """Two transactions that lock two rows crosswise: one is undone by the server, and comes again."""
    ledger = ledger_of(database)
    ids = [claim(ledger, number, user=f"u{number}").message_id for number in (1, 2)]
    both = threading.Barrier(2)

    def touch(first: int, second: int) -> None:
        met = False

        def work(db: sa.Connection) -> None:
            nonlocal met
            _add(db, first)
            if not met:
                met = True
                both.wait(90)
            _add(db, second)

        database.write(work)

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(touch, *ids), pool.submit(touch, *reversed(ids))]
        for future in done:
            future.result(90)
    attempts = database.read(lambda db: db.scalars(sa.select(messages.c.attempts)).all())
    assert list(attempts) == [2, 2]


def test_a_write_whose_connection_ends_before_the_commit_is_done_again_and_kept_once(
    database: Database,
) -> None:
    number = claim(ledger_of(database), 1).message_id
    tries = []

    def work(db: sa.Connection) -> None:
        _add(db, number)
        tries.append(1)
        if len(tries) == 1:
            _end_connection(database, db)
            db.execute(sa.select(1))

    database.write(work)
    assert len(tries) == 2
    assert database.read(lambda db: db.scalar(sa.select(messages.c.attempts))) == 1


def test_a_commit_without_an_answer_is_neither_believed_nor_done_again(database: Database) -> None:
    number = claim(ledger_of(database), 1).message_id
    tries = []

    def work(db: sa.Connection) -> None:
        tries.append(1)
        _add(db, number)
        _end_connection(database, db)

    with pytest.raises(OutcomeUnknown):
        database.write(work)
    assert len(tries) == 1


def test_a_claim_that_nobody_could_believe_is_found_by_the_next_delivery(
    database: Database,
) -> None:
    """What the platform does after our 503: the unique key says whether the first one was kept."""
    ledger = ledger_of(database)
    assert claim(ledger, 1).new
    assert not claim(ledger, 1).new
    assert count(database) == 1


def test_while_the_database_is_away_callers_are_told_and_afterwards_it_goes_on(
    tmp_path: Path,
) -> None:
    with running(durable=True) as server:
        settings = load(
            {
                "SHENQIAO_DATA_DIR": str(tmp_path / "d"),
                "SHENQIAO_RUN_DIR": str(tmp_path / "r"),
                "SHENQIAO_MODEL_ENABLED": "false",
                "SHENQIAO_KNOWLEDGE_ENABLED": "false",
                "SHENQIAO_DATABASE_URL": server.new_database(),
            }
        )
        migrate(settings)
        database = Database.open(settings)
        ledger = ledger_of(database)
        claim(ledger, 1)
        server.stop(signal.SIGQUIT)
        with pytest.raises(DatabaseAway) as caught:
            claim(ledger, 2)
        assert caught.value.status == 503
        server.start()
        assert claim(ledger, 3).new
        database.close()


def test_a_process_does_not_take_more_connections_than_it_may(node: Node) -> None:
    settings = node(SHENQIAO_DATABASE_CONNECTIONS="2", SHENQIAO_DATABASE_TIMEOUT_S="0.2")
    migrate(settings)
    database = Database.open(settings)
    held = threading.Barrier(3)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(database.read, lambda db: (held.wait(90), held.wait(90)))
        held.wait(90)
        with pytest.raises(DatabaseAway, match="in use"):
            database.read(lambda db: db.scalar(sa.select(1)))
        held.wait(90)
    database.close()


def test_a_claim_on_one_node_wakes_the_workers_of_another(node: Node, database: Database) -> None:
    bell = wake.Bell(_folder(node("b")), "worker")
    listener = wake_nodes.Listener(database, bell)
    wait_for(lambda: _listens(database))
    claim(ledger_of(database), 1)
    assert bell.wait(90) == ""
    wake_nodes.notify(database, "web", "7")
    assert bell.wait(0.3) is None, "another kind's call"
    listener.close()
    bell.close()


def test_a_listener_whose_connection_ended_listens_again(node: Node, database: Database) -> None:
    bell = wake.Bell(_folder(node("b")), "web")
    listener = wake_nodes.Listener(database, bell)
    wait_for(lambda: _listens(database))
    ended = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )
    database.read(lambda db: db.execute(ended))
    wait_for(lambda: _listens(database))
    wake_nodes.notify(database, "web", "42")
    assert bell.wait(90) == "42"
    listener.close()
    bell.close()


def _add(db: sa.Connection, number: int) -> None:
    more = {"attempts": messages.c.attempts + 1}
    db.execute(sa.update(messages).where(messages.c.id == number).values(**more))


def _end_connection(database: Database, db: sa.Connection) -> None:
    pid = db.scalar(sa.select(sa.func.pg_backend_pid()))
    database.read(lambda other: other.execute(sa.select(sa.func.pg_terminate_backend(pid))))
    time.sleep(0.1)


def _listens(database: Database) -> bool:
    asked = sa.text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    return bool(database.read(lambda db: db.scalar(asked)))


def _folder(settings: Settings) -> Path:
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    return settings.run_dir
