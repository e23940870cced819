"""Files that people upload for their next message, in memory, and what Dify checks when a message names them.

An app whose file upload is off takes no files: Dify drops them without a word.
"""

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

MB = 1024 * 1024
# Dify's defaults (UPLOAD_FILE_SIZE_LIMIT and its likes), in megabytes.
LIMITS = {"image": 10, "audio": 50, "video": 100, "document": 15}
ENDINGS = {
    "image": ("jpg", "jpeg", "png", "webp", "gif", "svg"),
    "audio": ("mp3", "m4a", "wav", "amr", "mpga"),
    "video": ("mp4", "mov", "mpeg", "webm"),
}
KEPT = 500
KEPT_BYTES = 512 * MB
FILES = 3


class BadFile(Exception):
    """What is refused; status, code and message are Dify's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Upload:
    """One file of one person."""

    id: str
    user: str
    name: str
    mime: str
    data: bytes
    at: int

    @property
    def kind(self) -> str:
        return kind_of(self.name)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "size": len(self.data),
            "extension": PurePosixPath(self.name).suffix.lstrip(".").lower(),
            "mime_type": self.mime,
            "created_by": self.user,
            "created_at": self.at,
        }

    def as_message_file(self) -> dict[str, Any]:
        """As the row of a message shows it."""
        return {
            "id": str(uuid.uuid4()),
            "filename": self.name,
            "type": self.kind,
            "transfer_method": "local_file",
            "belongs_to": "user",
            "upload_file_id": self.id,
            "url": f"/files/{self.id}/file-preview",
        }


class Uploads:
    """All files; a person finds only their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, Upload] = OrderedDict()
        self._bytes = 0

    def add(self, user: str, name: str, mime: str, data: bytes) -> Upload:
        """Raises `BadFile` for one that is too large."""
        if len(data) > LIMITS[kind_of(name)] * MB:
            raise BadFile(413, "file_too_large", "File size exceeded.")
        upload = Upload(str(uuid.uuid4()), user, name, mime, data, int(time.time()))
        with self._lock:
            self._files[upload.id] = upload
            self._bytes += len(data)
            while len(self._files) > KEPT or self._bytes > KEPT_BYTES:
                _, oldest = self._files.popitem(last=False)
                self._bytes -= len(oldest.data)
        return upload

    def of_message(self, user: str, named: object, features: Mapping[str, Any]) -> list[Upload]:
        """What the `files` of a message name. Raises `BadFile`."""
        upload = features.get("file_upload") or {}
        if not isinstance(named, list) or not upload.get("enabled"):
            return []
        if len(named) > int(upload.get("number_limits") or FILES):
            raise BadFile(400, "invalid_param", "Number of files exceeds the maximum limit")
        return [self._named(user, one, upload.get("allowed_file_types") or []) for one in named]

    def _named(self, user: str, named: object, allowed: list[str]) -> Upload:
        mapping = named if isinstance(named, dict) else {}
        if mapping.get("transfer_method") != "local_file":
            raise BadFile(400, "invalid_param", "Invalid file transfer method")
        upload = self._files.get(str(mapping.get("upload_file_id")))
        if upload is None or upload.user != user:
            raise BadFile(400, "invalid_param", "Invalid upload file")
        if mapping.get("type") != upload.kind:
            raise BadFile(400, "invalid_param", "Detected file type does not match")
        if upload.kind not in allowed:
            raise BadFile(400, "invalid_param", f"File type {upload.kind} is not allowed")
        return upload


def kind_of(name: str) -> str:
    """Dify goes by the ending of the name."""
    ending = PurePosixPath(name).suffix.lstrip(".").lower()
    return next((kind for kind, endings in ENDINGS.items() if ending in endings), "document")
