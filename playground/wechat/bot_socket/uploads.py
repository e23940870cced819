"""Media in chunks: init, chunks in any order, finish; used by `commands`."""

import base64
import binascii
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from playground.wechat.bot_socket import codes
from playground.wechat.bot_socket.quota import Quota
from playground.wechat.limits import ENTRIES, BotSocketLimits
from playground.wechat.media import Media

type Result = tuple[int, dict[str, Any]]


@dataclass
class _Upload:
    kind: str
    name: str
    size: int
    chunks: int
    md5: str
    until: float
    parts: dict[int, bytes] = field(default_factory=dict)


class Uploads:
    """Uploads that are not finished, and where finished ones go. Each method answers one command."""

    def __init__(
        self, limits: BotSocketLimits, media: Media, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._media = media
        self._clock = clock
        self._quota = Quota(limits.uploads_per_minute, limits.uploads_per_hour, clock)
        self._lock = threading.Lock()
        self._open: dict[str, _Upload] = {}

    def init(self, body: Mapping[str, Any]) -> Result:
        """aibot_upload_media_init: what will come, in how many chunks."""
        try:
            upload = _Upload(
                kind=str(body["type"]),
                name=str(body["filename"]),
                size=int(body["total_size"]),
                chunks=int(body["total_chunks"]),
                md5=str(body["md5"]),
                until=self._clock() + self._limits.upload_s,
            )
        except (KeyError, TypeError, ValueError):
            return codes.BAD_BODY, {}
        fits = upload.size <= upload.chunks * self._limits.chunk_bytes
        if not 1 <= upload.chunks <= self._limits.chunks or not fits:
            return codes.BAD_BODY, {}
        if not self._quota.take("bot"):
            return codes.TOO_MANY, {}
        upload_id = secrets.token_urlsafe(16)
        with self._lock:
            self._open[upload_id] = upload
            if len(self._open) > ENTRIES:
                del self._open[next(iter(self._open))]
        return codes.OK, {"upload_id": upload_id}

    def chunk(self, body: Mapping[str, Any]) -> Result:
        """aibot_upload_media_chunk: counted from 0; the same one twice is one."""
        upload, index = self._find(body), body.get("chunk_index")
        if upload is None or not isinstance(index, int) or not 0 <= index < upload.chunks:
            return codes.BAD_BODY, {}
        try:
            part = base64.b64decode(str(body.get("base64_data", "")), validate=True)
        except (binascii.Error, ValueError):
            return codes.BAD_BODY, {}
        if not 0 < len(part) <= self._limits.chunk_bytes:
            return codes.BAD_BODY, {}
        upload.parts[index] = part
        return codes.OK, {}

    def finish(self, body: Mapping[str, Any]) -> Result:
        """aibot_upload_media_finish: the media id, if all is there and the sum is right."""
        upload = self._find(body)
        if upload is None or len(upload.parts) != upload.chunks:
            return codes.BAD_BODY, {}
        data = b"".join(upload.parts[index] for index in range(upload.chunks))
        sums = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if len(data) != upload.size or sums != upload.md5:
            return codes.BAD_BODY, {}
        code, media_id = self._media.upload(upload.kind, upload.name, data)
        if code:
            return code, {}
        with self._lock:
            self._open.pop(str(body["upload_id"]), None)
        return codes.OK, {"media_id": media_id, "type": upload.kind}

    def _find(self, body: Mapping[str, Any]) -> _Upload | None:
        with self._lock:
            upload = self._open.get(str(body.get("upload_id", "")))
        return upload if upload is not None and self._clock() < upload.until else None
