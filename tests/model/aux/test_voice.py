"""Transcriptions over real HTTP: the formats that voices come in, what is refused, plain Whisper's text."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from openai import OpenAI
from tokenizers import Tokenizer
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests.model.aux.conftest import AuxServer, Folders
from tests.model.aux.sounds import RATE, amr, encoded, silk, tone, wav
from tool_server.model.aux import audio

pytestmark = pytest.mark.thorough


def plain(folder: Path, samples: bytes, language: str) -> str:
    """What the library hears in one part."""
    model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    features = WhisperFeatureExtractor.from_pretrained(folder)
    heard = np.frombuffer(samples, dtype="<i2").astype(np.float32) / 32768
    given = features(heard, sampling_rate=RATE, return_tensors="pt").input_features
    with torch.inference_mode():
        tokens = model.generate(given, language=language, task="transcribe", do_sample=False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return str(tokenizer.decode(tokens[0].tolist(), skip_special_tokens=True)).strip()


def test_a_recording_gives_what_plain_whisper_hears(aux: AuxServer, folders: Folders) -> None:
    samples = tone(2)
    for language in ("zh", "en"):
        answer = aux.hear(wav(samples), language=language)
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"] == plain(folders.whisper, samples, language)
    assert aux.hear(wav(samples)).json()["text"] == plain(folders.whisper, samples, "zh")
    assert aux.hear(wav(samples)).json()["usage"] == {"type": "duration", "seconds": 2.0}


@pytest.mark.parametrize(
    "recording",
    [
        pytest.param(encoded(tone(2), "libmp3lame", "mp3"), id="mp3"),
        pytest.param(encoded(tone(2), "aac", "ipod"), id="m4a"),
        pytest.param(encoded(tone(2), "libopus", "ogg"), id="ogg"),
        pytest.param(encoded(tone(2), "libopus", "webm"), id="webm"),
        pytest.param(encoded(tone(2), "flac", "flac"), id="flac"),
        pytest.param(silk(tone(2)), id="silk-tencent"),
        pytest.param(silk(tone(2), tencent=False), id="silk"),
        pytest.param(amr(100), id="amr"),
    ],
)
def test_each_format_is_read_in_full(aux: AuxServer, recording: bytes) -> None:
    answer = aux.hear(recording, response_format="verbose_json")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["duration"] == pytest.approx(2.0, abs=0.15)
    assert body["text"]
    assert (body["language"], body["task"]) == ("zh", "transcribe")


def test_a_format_changes_the_sound_little() -> None:
    """The tone is in what was decoded, not only its length."""
    expected = np.frombuffer(tone(2), dtype="<i2").astype(np.float32) / 32768
    for recording in (
        wav(tone(2)),
        silk(tone(2)),
        encoded(tone(2), "libmp3lame", "mp3"),
        encoded(tone(2), "libopus", "webm"),
    ):
        heard = audio.decode(recording, 10)
        spectrum = np.abs(np.fft.rfft(heard[: len(expected)]))
        assert abs(spectrum.argmax() * RATE / len(expected) - 440) < 5


def test_a_long_recording_is_heard_in_parts_in_order(aux: AuxServer) -> None:
    body = aux.hear(wav(tone(70)), response_format="verbose_json").json()
    starts = [segment["start"] for segment in body["segments"]]
    ends = [segment["end"] for segment in body["segments"]]
    assert len(starts) == 3
    assert starts == [0.0, *ends[:-1]]
    assert all(end - start <= 30 for start, end in zip(starts, ends, strict=True))
    assert ends[-1] == body["duration"] == 70.0
    assert body["text"] == "".join(segment["text"] for segment in body["segments"])


def test_silence_is_no_sentence(aux: AuxServer) -> None:
    assert aux.hear(wav(bytes(RATE * 4))).json()["text"] == ""


def test_plain_text_is_plain(aux: AuxServer) -> None:
    answer = aux.hear(wav(tone(1)), response_format="text")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text.strip() == aux.hear(wav(tone(1))).json()["text"]


def test_the_official_client_gets_its_text(aux: AuxServer) -> None:
    expected = aux.hear(wav(tone(1))).json()["text"]
    key = str(aux.http.headers["Authorization"]).split()[1]
    client = OpenAI(base_url=f"{aux.url}/v1", api_key=key)
    file = io.BytesIO(wav(tone(1)))
    file.name = "voice.wav"
    answer = client.audio.transcriptions.create(model="private-speech", file=file, language="zh")
    assert answer.text == expected


@pytest.mark.parametrize(
    "recording",
    [
        pytest.param(b"not a recording at all", id="text"),
        pytest.param(b"RIFF\0\0\0\0WAVE" + bytes(range(256)), id="broken wav"),
        pytest.param(b"\x02#!SILK_V3" + b"\x01\x00" * 500, id="broken silk"),
        pytest.param(b"\x02#!SILK_V3", id="empty silk"),
        pytest.param(b"#!AMR\n", id="empty amr"),
        pytest.param(b"\0\0\0\x18ftypM4A " + bytes(500), id="broken m4a"),
        pytest.param(b"ID3" + bytes(range(256)) * 8, id="broken mp3"),
        pytest.param(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n", id="playlist"),
        pytest.param(encoded(tone(1), "libmp3lame", "mp3")[:40], id="cut mp3"),
        pytest.param(b"", id="empty"),
    ],
)
def test_bad_audio_is_a_400_that_names_the_file(aux: AuxServer, recording: bytes) -> None:
    answer = aux.hear(recording)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "file"


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(encoded(bytes(RATE * 2 * 400), "flac", "flac"), id="flac of silence"),
        pytest.param(silk(bytes(RATE * 2 * 120)), id="silk of silence"),
        pytest.param(amr(50 * 91), id="amr"),
    ],
)
def test_what_unpacks_to_more_than_the_limit_is_refused(aux: AuxServer, bomb: bytes) -> None:
    answer = aux.hear(bomb)
    assert answer.status_code == 400
    assert "90 seconds" in answer.json()["error"]["message"]


def test_a_file_over_the_limit_is_a_413(aux: AuxServer) -> None:
    answer = aux.hear(wav(bytes(5 * 1024 * 1024)))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "srt"}, "response_format"),
        ({"language": "xx"}, "language"),
        ({"language": "Chinese please"}, "language"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "2"}, "temperature"),
        ({"prompt": "names: Zhang San"}, "prompt"),
        ({"stream": "true"}, "stream"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities[]"),
        ({"chunking_strategy": "auto"}, "chunking_strategy"),
    ],
)
def test_what_this_server_cannot_do_is_refused_by_name(
    aux: AuxServer, fields: dict[str, str], param: str
) -> None:
    answer = aux.hear(wav(tone(1)), **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_form_without_a_file_names_it(aux: AuxServer) -> None:
    form = {"model": "private-speech"}
    answer = aux.http.post("/v1/audio/transcriptions", data=form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_another_model_is_a_404(aux: AuxServer) -> None:
    answer = aux.hear(wav(tone(1)), model="whisper-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_part_ends_where_it_is_quiet() -> None:
    samples = np.ones(RATE * 50, dtype=np.float32)
    samples[RATE * 27 : RATE * 28] = 0
    (_, first), (start, _) = audio.parts(samples)
    assert 27 <= start <= 28
    assert len(first) == start * RATE
