"""Fetching what came with a message: by media id or encrypted address, bounded, looked at; for `attachments`."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tool_server.channel.account import Account
from tool_server.channel.download import Downloader, DownloadError
from tool_server.channel.filetype import FileType, file_type
from tool_server.channel.surface import Media, MediaKind
from tool_server.channel.wecom_api import SendError, WeComApi

MB = 1024 * 1024
TOO_LARGE = 45001
# An encrypted file is padded to a multiple of this (101033): up to 32 bytes more.
BLOCK_BYTES = 32
# What may come as what: a "file" may be anything that is known.
GROUPS: Mapping[MediaKind, tuple[str, ...]] = {
    "image": ("image",),
    "voice": ("audio",),
    "video": ("video",),
    "file": ("image", "document", "audio", "video"),
}


class MediaError(Exception):
    """What came cannot be used; `sentence` is what its person is told. `retry` where a later try may help."""

    def __init__(self, sentence: str, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self.sentence = sentence
        self.retry = retry


@dataclass(frozen=True)
class Fetched:
    """A file that a person sent: its bytes, what they are, and its name."""

    data: bytes
    type: FileType
    name: str


@dataclass(frozen=True)
class Inbox:
    """Fetches media; `limits` are the bytes that each kind may have."""

    platform: WeComApi
    downloader: Downloader
    limits: Mapping[MediaKind, int]

    def fetch(self, account: Account, media: Media) -> Fetched:
        """The file, decrypted where it was encrypted, its type known. Raises `MediaError`."""
        data, name = self._bytes(account, media)
        if len(data) > self.limits[media.kind]:
            raise MediaError("media_large", "too many bytes")
        kind = file_type(data, name)
        if kind is None or kind.group not in GROUPS[media.kind]:
            raise MediaError("media_unknown", f"not a known {media.kind}")
        return Fetched(data, kind, _named(name, kind))

    def _bytes(self, account: Account, media: Media) -> tuple[bytes, str]:
        limit = self.limits[media.kind]
        try:
            if "://" not in media.ref:
                held = self.platform.download(account, media.ref, limit=limit)
                return held.data, media.name or held.name
            data = self.downloader.get(media.ref, limit=limit + BLOCK_BYTES)
        except DownloadError as error:
            sentence = "media_large" if error.too_large else "media_gone"
            raise MediaError(sentence, str(error), retry=error.retry) from None
        except SendError as error:
            sentence = "media_large" if error.code == TOO_LARGE else "media_gone"
            retry = error.again_in_s is not None
            raise MediaError(sentence, f"{error.code} {error}", retry=retry) from None
        return (decrypt(data, media.key) if media.key else data), media.name


def decrypt(data: bytes, key: str) -> bytes:
    """What a bot's address holds (101033): AES-256-CBC, IV the key's first half, PKCS#7 to 32. Raises `MediaError`.

    `key` is base64; its padding may be missing.
    """
    try:
        secret = base64.b64decode(key + "=" * (-len(key) % 4))
        decryptor = Cipher(algorithms.AES256(secret), modes.CBC(secret[:16])).decryptor()
        unpadder = padding.PKCS7(BLOCK_BYTES * 8).unpadder()
        padded = decryptor.update(data) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except (ValueError, binascii.Error):
        raise MediaError("media_unknown", "not decryptable") from None


def _named(name: str, kind: FileType) -> str:
    """A name whose ending fits the type: Dify goes by it."""
    stem = name.replace("\\", "/").rpartition("/")[2].strip()[:100]
    if not stem:
        return f"{kind.group}.{kind.ending}"
    return stem if "." in stem else f"{stem}.{kind.ending}"
