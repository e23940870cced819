"""The database: writes of many threads in groups, each kept whole or not at all."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tool_server.database import Database

metadata = sa.MetaData()
numbers = sa.Table("numbers", metadata, sa.Column("value", sa.Integer, primary_key=True))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    database.write(lambda db: metadata.create_all(db))
    yield database
    database.close()


def insert(database: Database, value: int) -> None:
    database.write(lambda db: db.execute(sa.insert(numbers).values(value=value)))


def values(database: Database) -> list[int]:
    return database.read(lambda db: list(db.scalars(sa.select(numbers.c.value))))


def test_writes_of_many_threads_are_all_there(database: Database) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda value: insert(database, value), range(300)))
    assert len(values(database)) == 300


def test_a_write_that_fails_is_undone_and_its_neighbours_are_not(database: Database) -> None:
    insert(database, 1)

    def attempt(value: int) -> bool:
        try:
            insert(database, value)
        except sa.exc.IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        kept = list(pool.map(attempt, [1, 2, 1, 3, 1, 4]))
    assert kept == [False, True, False, True, False, True]
    assert sorted(values(database)) == [1, 2, 3, 4]


def test_what_a_write_returns_reaches_its_caller_once_it_is_on_disk(
    database: Database, tmp_path: Path
) -> None:
    result = database.write(
        lambda db: db.execute(
            sa.insert(numbers).values(value=7).returning(numbers.c.value)
        ).scalar()
    )
    other = Database(f"sqlite:///{tmp_path / 'test.db'}")
    assert (result, values(other)) == (7, [7])
    other.close()


def test_two_processes_worth_of_writers_do_not_fail(database: Database, tmp_path: Path) -> None:
    other = Database(f"sqlite:///{tmp_path / 'test.db'}")

    def fill(target: Database, base: int) -> None:
        for number in range(60):
            insert(target, base + number)

    threads = [
        threading.Thread(target=fill, args=(target, base))
        for target, base in ((database, 0), (other, 1000))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert len(values(database)) == 120
