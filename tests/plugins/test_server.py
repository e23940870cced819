"""Package A's client to the tool server: each thing that can be wrong has its own sentence, without addresses."""

import json
import time
import traceback
from typing import Any

import pytest

from dify_plugin.question import Question
from dify_plugin.server import Server, ServerError, ask
from tests.plugins.raw_server import RawServer


def fault(message: str, field: str | None = None) -> str:
    return json.dumps({"error": {"code": "c", "message": message, "field": field}})


def question(**parameters: Any) -> Question:
    return Question.of({"query": "年假？", **parameters}, app="", conversation="")


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, "", "does not know this key"),
        (403, fault("no"), 'or another with the scope "knowledge"'),
        (404, fault("Not found."), "There is no knowledge at this address"),
        (404, "<html>nginx", "There is no knowledge at this address"),
        (
            404,
            fault("There is no knowledge base 'x'.", "base"),
            "refused: There is no knowledge base",
        ),
        (400, fault("top_k: 1 to 20.", "top_k"), "refused: top_k: 1 to 20."),
        (429, fault("Busy."), "refused: Busy."),
        (503, fault("Away."), "refused: Away."),
        (502, "<html>nginx", "cannot be reached"),
        (301, "", "leads on to another one"),
        (400, "Client sent an HTTP request to an HTTPS server.", "speaks https and not http"),
        (200, "<html>Welcome", "There is no knowledge at this address"),
        (200, "[]", "There is no knowledge at this address"),
        (200, '{"found": true, "passages": [{}]}', "There is no knowledge at this address"),
    ],
)
def test_a_search_that_fails_says_what_to_do(
    server: RawServer, status: int, body: str, sentence: str
) -> None:
    server.answers(body, status=status)
    with pytest.raises(ServerError, match=sentence) as caught:
        Server(server.url, "sq-key").search(question())
    shown = "".join(traceback.format_exception(caught.value))  # Dify gets it whole
    assert "127.0.0.1" not in shown
    assert "During handling" not in shown


def test_a_server_that_is_away_is_said_so() -> None:
    with pytest.raises(ServerError, match="cannot be reached"):
        Server("http://127.0.0.1:9", "sq-key").check()


@pytest.mark.parametrize("key", ["密钥", "sq-\nX: y"])
def test_a_key_that_cannot_be_one_is_a_wrong_key(key: str) -> None:
    with pytest.raises(ServerError, match="does not know this key"):
        Server("http://127.0.0.1:9", key).check()


def test_a_call_ends_at_its_deadline_though_bytes_still_come(server: RawServer) -> None:
    server.answers(*[b" "] * 50)
    server.pause_s = 0.1
    started = time.monotonic()
    with pytest.raises(ServerError, match="in time"):
        ask("GET", server.url, deadline_s=0.5)
    assert time.monotonic() - started < 0.9


def test_the_key_never_shows_in_a_traceback() -> None:
    assert "sq-secret" not in repr(Server("http://x", "sq-secret"))
