"""Memory: a conversation of Dify's goes on until silence, a number of turns, /new, or other rights end it."""

import time
from collections.abc import Collection
from typing import Any

import pytest
import sqlalchemy as sa

from tests.channel.desk import Desk
from tests.fakes.dify import FakeDify
from tool_server import access
from tool_server.channel.account import Account
from tool_server.channel.memory import Memory, keep, keep_rights
from tool_server.channel.schema import messages, tickets
from tool_server.channel.tickets import note_given
from tool_server.database import Database

KEY = "acc//zhang"


@pytest.fixture
def memory(database: Database) -> Memory:
    return Memory(database, idle_s=60, turns=3)


def answered(database: Database, dify: str, at: float | None = None) -> None:
    database.write(lambda db: keep(db, KEY, dify, at or time.time()))


def test_a_conversation_goes_on_until_it_was_silent_too_long(
    database: Database, memory: Memory
) -> None:
    assert memory.conversation(KEY) == ""
    answered(database, "conv", time.time() - 50)
    assert memory.conversation(KEY) == "conv"
    answered(database, "conv", time.time() - 70)
    assert memory.conversation(KEY) == ""


def test_a_conversation_begins_anew_after_its_turns(database: Database, memory: Memory) -> None:
    for _ in range(2):
        answered(database, "conv")
    assert memory.conversation(KEY) == "conv"
    answered(database, "conv")
    assert memory.conversation(KEY) == ""
    answered(database, "next")
    assert memory.conversation(KEY) == "next"


def test_no_number_of_turns_ends_a_conversation_where_none_is_set(database: Database) -> None:
    for _ in range(9):
        answered(database, "conv")
    assert Memory(database, idle_s=60, turns=0).conversation(KEY) == "conv"


def test_what_is_forgotten_does_not_come_back(database: Database, memory: Memory) -> None:
    answered(database, "conv")
    memory.forget(KEY)
    assert memory.conversation(KEY) == ""


def test_other_rights_end_a_conversation_and_the_same_ones_do_not(
    database: Database, memory: Memory
) -> None:
    def rights(text: str) -> bool:
        return database.write(lambda db: keep_rights(db, KEY, text))

    assert not rights("a")
    answered(database, "conv")
    assert not rights("a")
    assert memory.conversation(KEY) == "conv"
    assert rights("b")
    assert memory.conversation(KEY) == ""


class Departments:
    """A person whose departments, and what is open to them, a test changes."""

    def __init__(self) -> None:
        self.now: tuple[int, ...] = (7,)
        self.closed: set[str] = set()  # documents

    def asker(self, name: str, _account: Account, user: str, _chat: str = "") -> access.Asker:
        return access.Asker(name, user, self.now)

    def withheld(self, _asker: access.Asker, documents: Collection[str]) -> bool:
        return not self.closed.isdisjoint(documents)


def with_departments(desk: Desk) -> Departments:
    people: Any = Departments()
    asker = desk.asking.composer.asker
    object.__setattr__(asker, "people", people)
    return people  # type: ignore[no-any-return]


def test_a_person_whose_departments_changed_is_asked_for_in_a_new_conversation(
    desk: Desk, dify: FakeDify
) -> None:
    people = with_departments(desk)
    desk.say("一")
    desk.say("二")
    people.now = ()
    desk.say("三")
    first, second, third = (run.conversation for run in dify.runs)
    assert first == second != third


def test_a_document_that_was_closed_ends_the_conversation_that_was_given_it_once(
    desk: Desk, dify: FakeDify, database: Database
) -> None:
    people = with_departments(desk)
    desk.say("一")
    job = desk.database.read(lambda db: db.execute(sa.select(messages)).one())
    note_given(database, job.ticket, ["d1", "d2"], closed=False)
    note_given(database, job.ticket, ["d2", "x" * 65], closed=False)
    desk.say("二")
    people.closed = {"d2"}
    desk.say("三")
    desk.say("四")
    first, second, third, fourth = (run.conversation for run in dify.runs)
    assert first == second != third == fourth


def test_what_another_person_was_given_ends_no_conversation(
    desk: Desk, dify: FakeDify, database: Database
) -> None:
    people = with_departments(desk)
    desk.say("一")
    desk.say("eins", user="li")
    of_li = sa.select(messages.c.ticket).where(messages.c.user == "li")
    note_given(database, database.read(lambda db: db.scalar(of_li)) or "", ["d1"], closed=False)
    people.closed = {"d1"}
    desk.say("二")
    assert dify.runs[0].conversation == dify.runs[2].conversation


def test_the_ticket_of_a_question_names_the_departments_of_that_moment(
    desk: Desk, database: Database
) -> None:
    with_departments(desk).now = (7, 1)
    desk.say("一")
    (asker,) = database.read(lambda db: list(db.scalars(sa.select(tickets.c.asker))))
    assert '"departments": [1, 7]' in asker


def test_a_conversation_that_dify_forgot_is_begun_anew_and_asked_once(
    desk: Desk, dify: FakeDify
) -> None:
    desk.say("一")
    dify.runs.clear()
    assert desk.say("二") == ["答：二"]
    assert len(dify.runs) == 1
    assert desk.say("三") == ["答：三"]
    assert dify.runs[0].conversation == dify.runs[1].conversation
