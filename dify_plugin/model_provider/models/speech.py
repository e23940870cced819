"""A recording to text; for `speech2text`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import IO, Any

from dify_plugin.errors.model import InvokeBadRequestError
from models.openai_wire import ModelServer

# WeChat's own formats, which the SDK names `.mp3`.
WECHAT = ((b"#!AMR", ".amr"), (b"#!SILK", ".silk"), (b"\x02#!SILK", ".silk"))


def transcribe(model: str, credentials: Mapping[str, Any], file: IO[bytes]) -> str:
    """The text. Raises an `InvokeError` with a sentence."""
    recording = file.read()
    if not recording:
        raise InvokeBadRequestError("file: the recording is empty.")
    name = f"recording{_suffix(recording, file)}"
    return ModelServer.of(credentials).transcribe(model, name, recording).text


def _suffix(recording: bytes, file: IO[bytes]) -> str:
    """By the first bytes, else the SDK's guess; nothing else of the file's name leaves."""
    for start, suffix in WECHAT:
        if recording.startswith(start):
            return suffix
    return PurePath(str(getattr(file, "name", ""))).suffix or ".mp3"
