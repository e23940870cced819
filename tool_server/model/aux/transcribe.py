"""OpenAI's transcriptions: a form with a recording goes to the aux process, text comes back; called by `routes`."""

import base64
from collections.abc import Callable
from functools import cached_property
from typing import Any

from flask import Response, jsonify, request

from tool_server.errors import BadRequest, TooLarge
from tool_server.model.aux.checkpoint import read_json
from tool_server.model.aux.client import AuxClient, new_id
from tool_server.model.aux.request import TranscriptionForm, read_form
from tool_server.model.aux.wire import Transcribe, Transcript
from tool_server.settings import Settings

MB = 1024 * 1024
# What a form takes besides its file.
FORM_BYTES = 64 * 1024


class Transcriptions:
    """What the speech model takes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _languages(self) -> frozenset[str]:
        """The codes that the model knows; empty for a model of one language."""
        config = read_json(self._settings.model_speech_path / "generation_config.json")
        return frozenset(name.strip("<|>") for name in config.get("lang_to_id") or {})

    def read(self) -> tuple[TranscriptionForm, bytes]:
        """Form and recording of the current Flask request. Raises `BadRequest` and `TooLarge`."""
        limit = self._settings.model_speech_max_mb * MB
        request.max_content_length = limit + FORM_BYTES
        if (request.content_length or 0) > limit + FORM_BYTES:
            raise self._too_large()
        file = request.files.get("file")
        if file is None:
            raise BadRequest("file: send a recording as multipart/form-data.", param="file")
        asked = read_form(request.form.to_dict(flat=False))
        audio = file.read(limit + 1)
        if len(audio) > limit:
            raise self._too_large()
        if not audio:
            raise BadRequest("file: it is empty.", param="file")
        return asked, audio

    def answer(
        self, client: AuxClient, asked: TranscriptionForm, audio: bytes, gone: Callable[[], bool]
    ) -> Response:
        """The response. Raises `BadRequest` naming the field, and what `AuxClient.ask` raises."""
        language = self._language(asked.language)
        command = Transcribe(
            new_id(), base64.b64encode(audio).decode(), language, asked.temperature
        )
        transcript = client.ask(command, Transcript, gone)
        text = _joined(transcript, language)
        if asked.response_format == "text":
            return Response(text + "\n", mimetype="text/plain")
        body: dict[str, Any] = {
            "text": text,
            "usage": {"type": "duration", "seconds": transcript.seconds},
        }
        if asked.response_format == "verbose_json":
            body.update(
                task="transcribe",
                duration=transcript.seconds,
                segments=_segments(transcript, asked.temperature),
            )
            if language is not None:
                body["language"] = language
        return jsonify(body)

    def _language(self, asked: str) -> str | None:
        """The model's code of a language; None leaves it to the model. Raises `BadRequest`."""
        code = asked.replace("_", "-").split("-")[0].lower()
        if not code:
            code = self._settings.model_speech_language
            if code == "auto" or code not in self._languages:
                return None
        if not self._languages and code == "en":
            return None
        if code not in self._languages:
            raise BadRequest(
                f"language: this model does not know {code!r}; send a code of ISO 639-1.",
                param="language",
            )
        return code

    def _too_large(self) -> TooLarge:
        most = self._settings.model_speech_max_mb
        return TooLarge(f"file: a recording may have {most} MB.", param="file")


def _joined(transcript: Transcript, language: str | None) -> str:
    """Chinese and Japanese have no space between sentences."""
    between = "" if language in ("zh", "ja", "yue") else " "
    return between.join(segment.text for segment in transcript.segments if segment.text)


def _segments(transcript: Transcript, temperature: float) -> list[dict[str, Any]]:
    """Parts of at most 30 seconds, as they were heard; what we do not measure is left out."""
    return [
        {
            "id": index,
            "start": segment.start,
            "end": segment.end,
            "text": segment.text,
            "temperature": temperature,
        }
        for index, segment in enumerate(transcript.segments)
    ]
