"""The errors of all of package B's model types: one class for one cause, one sentence, nothing leaks."""

import logging
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from dify_plugin.entities.model.message import UserPromptMessage
from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeAuthorizationError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
    InvokeRateLimitError,
    InvokeServerUnavailableError,
)
from models import openai_wire

from tests.plugins.private_models import NAMES, credentials, make
from tests.plugins.raw_server import RawServer

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "llm": ([UserPromptMessage(content="q")], {}),
    "text_embedding": (["a"],),
    "rerank": ("q", ["a"]),
    "speech2text": (),
    "moderation": ("text",),
}
WHOLE = [kind for kind in ARGUMENTS if kind != "llm"]
BY_SCRIPT = '{"error": {"message": "by script"}}'


def invoke(kind: str, entered: dict[str, str]) -> Any:
    """A call as the SDK makes it, to its end."""
    arguments = ARGUMENTS[kind] or (BytesIO(b"sound"),)
    result = make(kind).invoke(NAMES[kind], entered, *arguments)
    return list(result) if kind == "llm" else result


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (400, InvokeBadRequestError, "by script"),
        (401, InvokeAuthorizationError, "The tool server does not know this key"),
        (403, InvokeAuthorizationError, 'scope "model"'),
        (404, InvokeBadRequestError, "by script"),
        (413, InvokeBadRequestError, "by script"),
        (429, InvokeRateLimitError, "by script Try again in 77 seconds."),
        (500, InvokeServerUnavailableError, "by script"),
        (503, InvokeServerUnavailableError, "by script Try again in 77 seconds."),
    ],
)
def test_a_status_is_an_error_of_its_class_and_keeps_its_sentence(
    server: RawServer, kind: str, status: int, error: type[InvokeError], sentence: str
) -> None:
    server.answers(BY_SCRIPT, status=status, headers="Retry-After: 77")
    with pytest.raises(InvokeError) as caught:
        invoke(kind, credentials(server))
    assert type(caught.value) is error
    assert sentence in str(caught.value)


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_a_server_that_is_away_is_a_connection_error_without_its_address(kind: str) -> None:
    with pytest.raises(InvokeConnectionError) as caught:
        invoke(kind, {"server_url": "http://127.0.0.1:9", "api_key": "k"})
    assert "127" not in str(caught.value)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("page", ["", "<html>Welcome", "{}", '{"data": {}}'])
def test_another_servers_page_is_no_answer(server: RawServer, kind: str, page: str) -> None:
    server.answers(page)
    with pytest.raises(InvokeServerUnavailableError, match="check the URL"):
        invoke(kind, credentials(server))


@pytest.mark.parametrize("kind", WHOLE)
def test_a_connection_that_breaks_is_an_error(server: RawServer, kind: str) -> None:
    server.answers("{}", headers="Content-Length: 9999")
    with pytest.raises(InvokeConnectionError, match="cut off"):
        invoke(kind, credentials(server))


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("text_embedding", "EMBED_S"),
        ("rerank", "RANK_S"),
        ("speech2text", "SPEECH_S"),
        ("moderation", "MODERATE_S"),
    ],
)
def test_an_answer_that_trickles_in_for_ever_is_given_up(
    server: RawServer, monkeypatch: pytest.MonkeyPatch, kind: str, limit: str
) -> None:
    """No single read is late here, so that only the limit of the whole call ends it."""
    monkeypatch.setattr(openai_wire, limit, 0.4)
    server.answers("", path="/v1/models")
    server.answers(*["{"] * 40)
    server.pause_s = 0.1
    started = time.monotonic()
    with pytest.raises(InvokeConnectionError, match="in time"):
        invoke(kind, credentials(server))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_model_that_is_still_loading_is_waited_for(server: RawServer, status: int) -> None:
    path = "/v1/moderations"
    server.answers(BY_SCRIPT, status=status, headers="Retry-After: 1", path=path)
    server.answers_json(path, {"results": [{"flagged": True}]})
    assert invoke("moderation", credentials(server)) is True
    assert len(server.asked(path)) == 2


def test_patience_ends(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_wire, "PATIENCE_S", 1.5)
    server.answers(BY_SCRIPT, status=503, headers="Retry-After: 1")
    with pytest.raises(InvokeServerUnavailableError, match="by script"):
        invoke("moderation", credentials(server))
    assert len(server.heads) == 2


@pytest.mark.parametrize("header", ["X: y", "Retry-After: soon", "Retry-After: ²"])
def test_an_error_that_names_no_time_is_not_waited_for(server: RawServer, header: str) -> None:
    server.answers(BY_SCRIPT, status=503, headers=header)
    with pytest.raises(InvokeServerUnavailableError):
        invoke("moderation", credentials(server))
    assert len(server.heads) == 1


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_a_fault_of_ours_keeps_its_text_to_itself(
    server: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    def broken(_: object) -> Callable[[], None]:
        raise RuntimeError("secret sq-key in /root")

    monkeypatch.setattr(openai_wire.ModelServer, "_headers", broken)
    with caplog.at_level(logging.DEBUG), pytest.raises(InvokeServerUnavailableError) as caught:
        invoke(kind, credentials(server))
    with pytest.raises(CredentialsValidateFailedError, match="log names the fault"):
        make(kind).validate_credentials(NAMES[kind], credentials(server))
    said = str(caught.value) + caplog.text
    assert "RuntimeError" in caplog.text
    assert "secret" not in said
    assert "/root" not in said


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_the_key_stands_in_no_log_and_in_no_error(
    server: RawServer, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    server.answers(BY_SCRIPT, status=401)
    with caplog.at_level(logging.DEBUG), pytest.raises(InvokeError) as caught:
        invoke(kind, credentials(server))
    assert b"Bearer sq-key" in server.heads[-1]
    assert "sq-key" not in caplog.text + str(caught.value)
