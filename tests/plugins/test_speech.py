"""Package B's speech to text and moderation."""

import json
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from dify_plugin.errors.model import InvokeBadRequestError, InvokeServerUnavailableError

from tests.plugins.private_models import credentials, make
from tests.plugins.raw_server import RawServer

SPEECH = "/v1/audio/transcriptions"
MODERATION = "/v1/moderations"


def transcribe(server: RawServer, file: Any) -> Any:
    return make("speech2text").invoke("private-speech", credentials(server), file)


def moderate(server: RawServer, text: str) -> Any:
    return make("moderation").invoke("private-moderation", credentials(server), text)


def test_a_recording_is_sent_as_a_form_and_its_text_comes_back(server: RawServer) -> None:
    server.answers_json(SPEECH, {"text": "年假有几天？"})
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(b"RIFF....WAVE\r\n\x00")
        file.seek(0)
        assert transcribe(server, file) == "年假有几天？"
        name = Path(file.name).stem
    (form,) = server.asked(SPEECH)
    assert b'name="model"\r\n\r\nprivate-speech\r\n' in form
    assert b'name="file"; filename="recording.wav"' in form
    assert b"RIFF....WAVE\r\n\x00" in form
    assert name.encode() not in form
    assert b"multipart/form-data; boundary=" in server.heads[-1]


@pytest.mark.parametrize(
    ("start", "suffix"),
    [
        (b"#!AMR\n", b".amr"),
        (b"#!SILK_V3", b".silk"),
        (b"\x02#!SILK_V3", b".silk"),
        (b"ID3", b".mp3"),
    ],
)
def test_wechats_formats_are_named_by_their_first_bytes(
    server: RawServer, start: bytes, suffix: bytes
) -> None:
    server.answers_json(SPEECH, {"text": ""})
    assert transcribe(server, BytesIO(start + b"...")) == ""
    assert b'filename="recording' + suffix + b'"' in server.asked(SPEECH)[0]


def test_an_empty_recording_is_refused_by_name(server: RawServer) -> None:
    with pytest.raises(InvokeBadRequestError, match="file"):
        transcribe(server, BytesIO())
    assert server.heads == []


def test_what_is_no_text_is_an_error(server: RawServer) -> None:
    server.answers_json(SPEECH, {"words": []})
    with pytest.raises(InvokeServerUnavailableError):
        transcribe(server, BytesIO(b"x"))


@pytest.mark.parametrize("flags", [[True], [False], [False, True]])
def test_a_text_is_flagged_when_a_part_of_it_is(server: RawServer, flags: list[bool]) -> None:
    server.answers_json(MODERATION, {"id": "m", "results": [{"flagged": flag} for flag in flags]})
    assert moderate(server, "text") is any(flags)
    (asked,) = server.asked(MODERATION)
    assert json.loads(asked) == {"model": "private-moderation", "input": "text"}


def test_an_empty_text_is_not_asked_for(server: RawServer) -> None:
    assert moderate(server, " \n") is False
    assert server.heads == []


@pytest.mark.parametrize("body", [{"results": []}, {"results": [{}]}, {}])
def test_a_text_without_a_verdict_is_an_error_and_not_clean(server: RawServer, body: Any) -> None:
    server.answers_json(MODERATION, body)
    with pytest.raises(InvokeServerUnavailableError):
        moderate(server, "text")
