"""The speech-to-text model: one SDK class that hands everything to `speech`."""

from __future__ import annotations

from typing import IO, Any

from models import speech
from models.served import ServedModel

from dify_plugin import Speech2TextModel


class PrivateSpeechModel(ServedModel, Speech2TextModel):
    def _invoke(
        self, model: str, credentials: dict[str, Any], file: IO[bytes], user: str | None = None
    ) -> str:
        return speech.transcribe(model, credentials, file)
