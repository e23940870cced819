"""Reconciliation: what adds up, and each kind of difference; traces, dead letters and their commands and routes."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from tests.channel.conftest import claim, incoming, job_of, ledger_of, worker_of
from tool_server.__main__ import shenqiao
from tool_server.channel.job import Job
from tool_server.channel.ledger import Ledger
from tool_server.channel.letters import dead, send_again
from tool_server.channel.reconcile import Log, Platform, Window, reconcile
from tool_server.channel.schema import deliveries, messages
from tool_server.channel.work import Work
from tool_server.database import Database
from tool_server.errors import BadRequest, NotFound
from tool_server.settings import PREFIX, Settings

type Run = Callable[..., Result]


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return ledger_of(database, person=3)


@pytest.fixture
def work(database: Database) -> Work:
    return worker_of(database, "one")


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of this installation."""
    for name in ("data_dir", "run_dir", "model_enabled"):
        monkeypatch.setenv(PREFIX + name.upper(), str(getattr(settings, name)))
    if url := settings.database_url.get_secret_value():
        monkeypatch.setenv("SHENQIAO_DATABASE_URL", url)
    return lambda *arguments: CliRunner().invoke(shenqiao, arguments)


def push(work: Work) -> Job:
    job = job_of(work)
    work.settle(job, "answer", bodies=["body"], reply=None, dify="")
    work.sent(job, work.pieces(job)[0], f"p{job.id}", last=True)
    return job


def give_up(work: Work) -> None:
    job = job_of(work)
    work.settle(job, "answer", bodies=["body"], reply=None, dify="")
    work.give_up(job, "81013 no such user")


def all_kinds(ledger: Ledger, work: Work) -> None:
    """One message answered passively, one pushed, one given up, one in work, one told busy, one noted."""
    connection = claim(ledger, 1, wait_s=60)
    work.settle(job_of(work), "answer", bodies=["body"], reply=b"reply", dify="")
    ledger.fetch(connection)
    claim(ledger, 2)
    push(work)
    claim(ledger, 3, user="li")
    give_up(work)
    ledger.claim("acc", incoming(4, kind="event"), wait_until=0)
    for number in range(5, 10):
        claim(ledger, number, user="many")
    push(work)


def now() -> Window:
    return Window(time.time() - 60, time.time() + 1)


def platform(written: dict[str, str], shown: dict[str, int], taken: bool = True) -> Platform:
    rows: list[dict[str, object]] = []
    for name, user in written.items():
        rows.append({"what": "written", "id": name, "user": user, "at": time.time()})
        rows.append({"what": "delivered", "id": name, "at": time.time(), "taken": taken})
    for user, count in shown.items():
        rows += [{"what": "shown", "user": user, "at": time.time()}] * count
    return Platform.read(map(json.dumps, rows))


def log_of(*numbers: int) -> Log:
    stamp = datetime.now(UTC).isoformat()
    return Log.read(
        json.dumps({"event": "message.claimed", "message": number, "timestamp": stamp})
        for number in numbers
    )


def test_every_outcome_is_counted_and_nothing_differs(
    ledger: Ledger, work: Work, database: Database
) -> None:
    all_kinds(ledger, work)
    result = reconcile(database, now())
    assert result.told == []
    assert result.difference == 0
    assert result.total == {
        "received": 9,
        "answered": 2,
        "failed": 1,
        "noted": 1,
        "busy": 2,
        "open": 3,
    }


def test_platform_and_log_that_agree_make_no_difference(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    job = push(work)
    side = platform({"1": "zhang"}, {"zhang": 1})
    result = reconcile(database, now(), platform=side, log=log_of(job.id))
    assert (result.difference, result.total["written"], result.total["logged"]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("written", "shown", "said"),
    [
        ({"1": "zhang", "2": "li"}, {"zhang": 1}, "handed it over"),
        ({}, {"zhang": 1}, "the platform does not know it"),
        ({"1": "zhang"}, {"zhang": 2}, "saw 2 answers, the ledger delivered 1"),
        ({"1": "zhang"}, {}, "saw 0 answers, the ledger delivered 1"),
    ],
)
def test_what_platform_and_ledger_tell_differently_is_a_difference(
    ledger: Ledger,
    work: Work,
    database: Database,
    written: dict[str, str],
    shown: dict[str, int],
    said: str,
) -> None:
    claim(ledger, 1)
    push(work)
    result = reconcile(database, now(), platform=platform(written, shown))
    assert result.difference == 1
    assert said in result.told[0]


def test_what_the_platform_could_not_hand_over_is_counted_apart(
    ledger: Ledger, database: Database
) -> None:
    side = platform({"1": "zhang"}, {}, taken=False)
    result = reconcile(database, now(), platform=side)
    assert (result.difference, result.total["refused"]) == (0, 1)


def test_a_log_that_knows_more_or_less_than_the_ledger_is_a_difference(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    number = push(work).id
    assert "the log does not know it" in reconcile(database, now(), log=log_of()).told[0]
    more = reconcile(database, now(), log=log_of(number, number + 1))
    assert "in the log, not in the ledger" in more.told[0]


@pytest.mark.parametrize(
    ("table", "values", "said"),
    [
        (messages, {"answer": ""}, "nothing says why"),
        (messages, {"state": "failed"}, "failed without a reason"),
        (deliveries, {"state": "pending"}, "pieces are pending"),
        (deliveries, {"state": "failed"}, "nothing was delivered"),
    ],
)
def test_a_ledger_that_contradicts_itself_is_a_difference(
    ledger: Ledger,
    work: Work,
    database: Database,
    table: sa.Table,
    values: dict[str, str],
    said: str,
) -> None:
    claim(ledger, 1)
    push(work)
    database.write(lambda db: db.execute(sa.update(table).values(**values)))
    assert said in reconcile(database, now()).told[0]


def test_a_message_that_is_open_for_hours_is_a_difference(
    ledger: Ledger, database: Database
) -> None:
    claim(ledger, 1)
    later = Window(0, time.time() + 7200)
    assert "nothing says why" in reconcile(database, later).told[0]


def test_the_command_prints_the_table_and_exits_with_1_on_a_difference(
    ledger: Ledger, work: Work, database: Database, run: Run
) -> None:
    claim(ledger, 1)
    push(work)
    good = run("reconcile", "--since", "2020-01-01")
    assert good.exit_code == 0, good.output
    assert good.output.splitlines()[0].split() == ["minute", "received", "answered", "difference"]
    assert good.output.splitlines()[-1].split() == ["total", "1", "1", "0"]
    database.write(lambda db: db.execute(sa.update(messages).values(answer="")))
    assert run("reconcile").exit_code == 1
    assert run("reconcile", "--since", "yesterday").exit_code == 1


def test_a_message_is_traced_by_the_platforms_id_alone_and_its_text_is_not_shown(
    ledger: Ledger, work: Work, database: Database, run: Run
) -> None:
    claim(ledger, 1)
    push(work)
    shown = run("trace", "1")
    assert shown.exit_code == 0, shown.output
    assert "piece 1: sent" in shown.output
    assert "问题" not in shown.output
    (life,) = json.loads(run("trace", "1", "--json").output)
    assert life["message"]["state"] == "done"
    assert run("trace", "1", "--account", "other").exit_code == 1
    assert run("trace", "7").exit_code == 1


def test_a_dead_letter_is_listed_and_its_pieces_are_sent_again(
    ledger: Ledger, work: Work, database: Database, run: Run
) -> None:
    claim(ledger, 1)
    give_up(work)
    (letter,) = dead(database)
    assert letter["fault"] == "81013 no such user"
    assert "81013 no such user" in run("letters", "list").output
    assert run("letters", "send", "acc", "1").exit_code == 0
    job = job_of(work)
    assert (job.state, [piece.body for piece in work.pieces(job)]) == ("answered", ["body"])
    assert dead(database) == []
    assert run("letters", "send", "acc", "1").exit_code == 1


def test_a_dead_letter_without_pieces_is_asked_again(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    work.give_up(job_of(work), "its account was removed")
    send_again(database, "acc", "1")
    assert job_of(work).state == "asking"


def test_only_dead_letters_are_sent_again(ledger: Ledger, work: Work, database: Database) -> None:
    claim(ledger, 1)
    push(work)
    with pytest.raises(BadRequest):
        send_again(database, "acc", "1")
    with pytest.raises(NotFound):
        send_again(database, "acc", "2")


def test_forgetting_a_person_prints_what_went(
    ledger: Ledger, work: Work, database: Database, run: Run
) -> None:
    claim(ledger, 1)
    push(work)
    done = run("forget", "acc", "zhang", "--yes")
    assert done.exit_code == 0, done.output
    assert "1  messages" in done.output
    assert reconcile(database, now()).total == {"received": 1, "erased": 1}


def test_last_words_are_pushed_once_and_the_message_still_counts_as_failed(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    job = job_of(work)
    work.settle(job, "answer", bodies=["body"], reply=None, dify="")
    assert work.give_up(job, "45002 too long", "sorry")
    (words,) = work.pieces(job)
    assert (words.body, words.ordinal) == ("sorry", 2)
    work.sent(job, words, "p", last=True)
    life = ledger.timeline("acc", "1")
    assert life is not None
    assert (life["message"]["state"], life["message"]["fault"]) == ("failed", "45002 too long")
    assert reconcile(database, now()).difference == 0


def test_last_words_that_fail_as_well_are_the_end(
    ledger: Ledger, work: Work, database: Database
) -> None:
    claim(ledger, 1)
    job = job_of(work)
    work.settle(job, "answer", bodies=["body"], reply=None, dify="")
    assert work.give_up(job, "45002 too long", "sorry")
    assert not work.give_up(job, "60020 not allowed", "sorry")
    assert work.pieces(job) == []
    assert not work.waiting()
    send_again(database, "acc", "1")
    assert [piece.body for piece in work.pieces(job_of(work))] == ["body"], "the answer, no sorry"
