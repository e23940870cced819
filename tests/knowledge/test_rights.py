"""Who sees what: over HTTP with real tickets, in threads, while bases change; and what cannot be read is not shown."""

import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.serving import make_server

from tool_server import key_file
from tool_server.access import Asker
from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.channel import tickets
from tool_server.channel.schema import given, messages
from tool_server.channel.surface import Incoming
from tool_server.knowledge.bases import Profile
from tool_server.knowledge.closed import ClosedBases
from tool_server.knowledge.document import Document, Piece, Section
from tool_server.knowledge.rights import PUBLIC, read_access, rights_of, sees
from tool_server.knowledge.schema import documents
from tool_server.knowledge.search import Knowledge, Question, search

ASKERS = {
    "li": Asker("acc", "li", (7,)),
    "wang": Asker("acc", "wang", (8,)),
    "group": Asker("acc", "li", (7,), "group", "g1"),
}
OPEN_TO = {
    "li": {"public", "li", "seven"},
    "wang": {"public", "wang"},
    "group": {"public", "group"},
    "forged": {"public"},
    "key": {"public", "wang"},
}
LISTS = {
    "public": (),
    "li": ("user:acc/li",),
    "wang": ("user:acc/wang",),
    "seven": ("department:acc/7",),
    "group": ("group:acc/g1",),
    "other": ("user:other/li", "group:acc/g2", "department:other/7"),
}


@dataclass(frozen=True)
class Office:
    """A server with a base whose documents say the same to different people."""

    knowledge: Knowledge
    app: Flask
    client: httpx.Client  # with the key that stands in Dify
    tickets: dict[str, str]

    def seen(self, who: str, **more: Any) -> set[str]:
        """The source ids that a search shows them."""
        body = {"query": "salary of the staff", "top_k": 20, "app": "a", "conversation": who}
        if who != "key":
            body["ticket"] = self.tickets.get(who, "forged-" + "x" * 20)
        answer = self.client.post("/knowledge/search", content=json.dumps(body | more))
        assert answer.status_code == 200, answer.text
        found = answer.json()["passages"]
        shown = [one["source_id"] for one in found] + [
            copy["source_id"] for one in found for copy in one["copies"]
        ]
        return set(shown)


@pytest.fixture
def office(knowledge: Knowledge) -> Iterator[Office]:
    texts = {name: f"The salary of the staff is secret {name}." for name in LISTS}
    store(knowledge, *(document(name, text, LISTS[name]) for name, text in texts.items()))
    give_key_rights(knowledge, "user:acc/wang")
    app = create_app(knowledge.settings)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        key = Keys.load(knowledge.settings).secret("knowledge")
        url, headers = f"http://127.0.0.1:{server.server_port}", {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield Office(knowledge, app, client, {who: ticket(app, who) for who in ASKERS})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["channel"].close()


def document(name: str, text: str, access: tuple[str, ...]) -> Document:
    return Document(name, "Salaries", (Section("", text),), metadata={"kind": name}, access=access)


def store(knowledge: Knowledge, *several: Document) -> None:
    pieces = {one.source_id: [Piece("", one.sections[0].text)] for one in several}
    with knowledge.index.writing(knowledge.catalogue) as writer:
        knowledge.catalogue.put("kb", several, pieces)
        writer.sync()


def give_key_rights(knowledge: Knowledge, *rights: str) -> None:
    """To the key with the scope `knowledge`, as an administrator writes them into the file."""
    Keys.load(knowledge.settings)
    path = knowledge.settings.data_dir / key_file.FILE
    key_file.edit(
        path,
        lambda keys: tuple(
            key.model_copy(update={"rights": rights}) if "knowledge" in key.scopes else key
            for key in keys
        ),
    )


def ticket(app: Flask, who: str) -> str:
    channel = app.extensions["channel"]
    claim = channel.ledger.claim("acc", Incoming(who, "1", who, "text", "q", 1), wait_until=0.0)
    issued: str = channel.database.write(
        lambda db: tickets.issue(db, claim.message_id, ASKERS[who], expires_at=time.time() + 600)
    )
    return issued


def test_nobody_sees_what_is_not_theirs_however_searches_interleave(office: Office) -> None:
    whos = list(OPEN_TO) * 200
    random.Random(7).shuffle(whos)
    with ThreadPoolExecutor(8) as pool:
        for who, seen in zip(whos, pool.map(office.seen, whos), strict=True):
            assert seen == OPEN_TO[who], who


def test_an_expired_ticket_opens_what_is_public_and_not_what_the_key_may_see(
    office: Office,
) -> None:
    channel = office.app.extensions["channel"]
    channel.database.write(lambda db: tickets.extend(db, [office.tickets["li"]], time.time() - 1))
    assert office.seen("li") == {"public"}
    assert office.seen("wang", conversation="elsewhere") == OPEN_TO["wang"]
    assert office.seen("wang", conversation="stolen") == {"public"}


def test_what_a_base_is_set_to_holds_for_the_very_next_search(office: Office) -> None:
    catalogue = office.knowledge.catalogue
    for _ in range(10):
        catalogue.set_profile("kb", Profile(access=("user:acc/li",)))
        assert office.seen("wang") == office.seen("group") == office.seen("forged") == set()
        assert office.seen("li") == OPEN_TO["li"]
        catalogue.set_profile("kb", Profile())
        assert office.seen("wang") == OPEN_TO["wang"]


def test_a_document_s_new_list_holds_although_the_index_has_the_old_one(office: Office) -> None:
    changed = document("li", "The salary of the staff is secret li.", ("user:acc/wang",))
    catalogue = office.knowledge.catalogue
    with office.knowledge.index.writing(catalogue) as writer:  # nobody can repair meanwhile
        catalogue.put("kb", [changed], {"li": [Piece("", changed.sections[0].text)]})
        assert "li" not in office.seen("li")
        writer.sync()
    assert "li" in office.seen("wang")


def test_the_same_text_with_other_rights_is_kept_for_each_and_shown_to_nobody_else(
    office: Office,
) -> None:
    text = "The bonus of the staff is twelve thousand yuan each year, paid before the holidays."
    store(
        office.knowledge,
        document("b-li", text, LISTS["li"]),
        document("b-wang", text, LISTS["wang"]),
    )
    assert "b-li" in office.seen("li", query="bonus paid before holidays")
    assert "b-wang" in office.seen("wang", query="bonus paid before holidays")
    for who, mine in OPEN_TO.items():
        others = {"b-li", "b-wang"} - {f"b-{name}" for name in mine}
        assert office.seen(who, query="bonus paid before holidays").isdisjoint(others)


@pytest.mark.parametrize("operator", ["is not", "not empty", "empty", "not in", "contains"])
@pytest.mark.parametrize("logical", ["and", "or"])
def test_a_condition_only_narrows(office: Office, operator: str, logical: str) -> None:
    conditions = [
        {
            "name": name,
            "comparison_operator": operator,
            "value": ["x"] if "in" in operator.split() else "o",
        }
        for name in ("kind", "access", "missing")
    ]
    filters = {"logical_operator": logical, "conditions": conditions}
    for who in OPEN_TO:
        assert office.seen(who, filters=filters) <= OPEN_TO[who]


def test_a_base_that_may_not_be_seen_is_unknown(office: Office) -> None:
    office.knowledge.catalogue.set_profile("kb", Profile(access=("user:acc/li",)))
    hidden, unknown = (
        office.client.post("/knowledge/search", json={"query": "salary", "base": base})
        for base in ("kb", "xx")
    )
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.text.replace("kb", "xx") == unknown.text


def test_the_list_of_bases_follows_ticket_and_key(office: Office) -> None:
    office.knowledge.catalogue.set_profile("kb", Profile(access=("user:acc/li",)))

    def listed(**given: str) -> list[str]:
        answer = office.client.get("/knowledge/bases", params=given)
        return [base["name"] for base in answer.json()["bases"]]

    asked = {"app": "a", "conversation": "li"}
    assert listed(ticket=office.tickets["li"], **asked) == ["kb"]
    assert listed(ticket="forged", **asked) == listed() == []


@pytest.mark.parametrize("broken", ["", "{", "null", '"public"', '{"public": 1}', "[]", "[1]"])
def test_a_passage_whose_list_cannot_be_read_is_not_shown(
    knowledge: Knowledge, broken: str
) -> None:
    store(knowledge, document("a", "The salary.", ()))
    assert search(knowledge, Question("salary")).passages
    knowledge.catalogue.database.write(
        lambda db: db.execute(sa.update(documents).values(access=broken))
    )
    assert search(knowledge, Question("salary")).passages == ()


def test_a_base_whose_profile_cannot_be_read_is_not_there(knowledge: Knowledge) -> None:
    store(knowledge, document("a", "The salary.", ()))
    knowledge.catalogue.database.write(
        lambda db: db.execute(sa.text("update bases set profile = '{\"access\": 3}'"))
    )
    assert search(knowledge, Question("salary")).passages == ()


def test_in_a_group_only_the_group_s_rights_count() -> None:
    assert rights_of(ASKERS["group"], ["*"]) == {PUBLIC, "group:acc/g1"}
    assert rights_of(ASKERS["li"], ["*"]) == {PUBLIC, "user:acc/li", "department:acc/7"}


def test_a_document_can_only_narrow_its_base() -> None:
    rights = frozenset({PUBLIC, "user:acc/li"})
    assert sees(rights, ["user:acc/li"], ["inherited"])
    assert not sees(rights, ["user:acc/wang"], ["public"])
    assert not sees(rights, ["public"], ["user:acc/wang"])
    assert not sees(rights, [], ["public"])
    assert read_access('["public"]') == ("public",)


ONLY_PUBLIC = {
    "logical_operator": "and",
    "conditions": [{"name": "kind", "comparison_operator": "is", "value": "public"}],
}


def restricted(office: Office, who: str) -> bool:
    """Whether the channel was told that this person's message got what not everybody may see."""
    noted = sa.select(messages.c.restricted).where(messages.c.user == who)
    channel = office.app.extensions["channel"]
    return any(channel.database.read(lambda db: db.scalars(noted).all()))


def test_a_passage_that_not_everybody_may_see_is_noted_on_the_message_that_asked(
    office: Office,
) -> None:
    assert office.seen("li", filters=ONLY_PUBLIC) == {"public"}
    assert office.seen("wang", filters=ONLY_PUBLIC) == {"public"}
    assert not restricted(office, "li")
    assert "seven" in office.seen("li")
    assert restricted(office, "li")
    assert not restricted(office, "wang")


def test_what_was_given_to_somebody_is_withheld_once_it_is_narrowed(office: Office) -> None:
    assert office.seen("li", filters=ONLY_PUBLIC) == {"public"}
    channel = office.app.extensions["channel"]
    rows = channel.database.read(lambda db: list(db.scalars(sa.select(given.c.document))))
    closed = ClosedBases(office.knowledge.settings)
    assert len(rows) == 1
    assert not closed.withheld(ASKERS["li"], rows)
    store(office.knowledge, document("public", "The salary.", LISTS["wang"]))
    assert closed.withheld(ASKERS["li"], rows)
    assert not closed.withheld(ASKERS["wang"], rows)
    assert not closed.withheld(ASKERS["li"], ["gone"])
    closed.close()


def test_the_text_of_a_closed_document_is_noted_too(office: Office) -> None:
    ids = {}
    for document_id, source in office.knowledge.catalogue.database.read(
        lambda db: db.execute(sa.select(documents.c.id, documents.c.source_id)).all()
    ):
        ids[source] = str(document_id)
    asked = {"ticket": office.tickets["li"], "app": "a", "conversation": "li"}
    office.client.post("/knowledge/document", json={"document_id": ids["public"], **asked})
    assert not restricted(office, "li")
    office.client.post("/knowledge/document", json={"document_id": ids["seven"], **asked})
    assert restricted(office, "li")
