"""Files of an answer on their way out: fetched from Dify, made fit for the platform, left there; called by `finish`.

What goes wrong costs the file and never the answer: its text then says which files are missing.
"""

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Protocol
from urllib.parse import unquote, urlsplit

import structlog
from PIL import Image

from tool_server.channel.account import Account, WeComApp, WeComBotSocket, WeComKf
from tool_server.channel.dify import Produced
from tool_server.channel.download import Downloader, DownloadError
from tool_server.channel.surface import File, MediaKind, Picture
from tool_server.channel.wecom_errors import SendError

log = structlog.get_logger()

# 90253: bytes of a temporary file by its kind; all have more than 5.
LEAST_BYTES = 6
IMAGE_BYTES = 10 * 1024 * 1024
VOICE_BYTES = 2 * 1024 * 1024
VIDEO_BYTES = 10 * 1024 * 1024
FILE_BYTES = 20 * 1024 * 1024
# Such a picture is unpacked into 160 MB; a larger one goes as a file.
PIXELS = 40_000_000
# What a picture is made into, one after the other, until it is small enough.
SIDES = (4096, 2560, 1600, 1024, 640)
AMR = b"#!AMR\n"
AMR_S = 60
# Bytes of a frame of 20 ms by its type (RFC 4867, 5.3), with its header.
AMR_FRAMES = (13, 14, 16, 18, 20, 21, 27, 32, 6)
NAME_CHARACTERS = 60


class Uploads(Protocol):
    """Where the platform takes files; see `wecom_api`."""

    def upload(self, account: Account, kind: MediaKind, name: str, data: bytes) -> str: ...


@dataclass(frozen=True)
class Ready:
    """A file as the platform takes it."""

    kind: MediaKind
    name: str
    data: bytes


@dataclass(frozen=True)
class Sent:
    """What became of an answer's files: contents to send, and those that could not be sent."""

    files: Sequence[File] = ()
    lost: Sequence[Produced] = ()
    pictures: Mapping[Produced, Picture] = MappingProxyType({})


class Unfit(Exception):
    """The platform has no kind that takes this file, or it is not ours to fetch."""


class Outbound:
    """Brings files of answers to the platform; `hosts` beside the account's own Dify may be fetched from.

    `apart` holds what surfaces with a transport of their own upload with, all others use `uploads`.
    """

    def __init__(
        self,
        downloader: Downloader,
        uploads: Uploads,
        hosts: Collection[str],
        apart: Mapping[str, Uploads],
    ) -> None:
        self._downloader = downloader
        self._uploads = uploads
        self._hosts = frozenset(hosts)
        self._apart = apart

    @staticmethod
    def takes(account: Account) -> bool:
        """Whether files can be left with this account's platform."""
        return isinstance(account, WeComApp | WeComKf | WeComBotSocket)

    def send(self, account: Account, files: Sequence[Produced], *, most: int) -> Sent:
        """The first `most` files, each left with the platform for three days, for an account that `takes` files."""
        sent: list[File] = []
        lost: list[Produced] = []
        for file in files:
            done = self._send(account, file) if len(sent) < most else None
            if done is None:
                lost.append(file)
            else:
                sent.append(done)
        return Sent(sent, lost)

    def carry(self, account: Account, files: Sequence[Produced], *, most: int, limit: int) -> Sent:
        """The first `most` pictures, together of at most `limit` bytes, for a stream that carries them itself."""
        chosen = [file for file in files if file.kind == "image"][:most]
        found: dict[Produced, Picture] = {}
        for file in chosen:
            try:
                data = self._fetched(account, file)
            except (DownloadError, Unfit) as error:
                log.warning("outbound.failed", kind=file.kind, reason=str(error))
                continue
            if ready := _picture(_name(file), data, limit // len(chosen)):
                found[file] = Picture(ready.name, file.url, ready.data)
        return Sent(pictures=found)

    def _send(self, account: Account, file: Produced) -> File | None:
        uploads = self._apart.get(account.surface, self._uploads)
        try:
            ready = fit(file, self._fetched(account, file))
            media_id = uploads.upload(account, ready.kind, ready.name, ready.data)
        except (DownloadError, Unfit, SendError) as error:
            log.warning("outbound.failed", kind=file.kind, reason=str(error))
            return None
        return File(ready.kind, media_id) if media_id else None

    def _fetched(self, account: Account, file: Produced) -> bytes:
        """The file's bytes. Raises `DownloadError`, `Unfit`."""
        host = urlsplit(account.dify_url).netloc
        if urlsplit(file.url).netloc not in {host, *self._hosts}:
            raise Unfit("its host is not ours")
        return self._downloader.get(file.url, limit=FILE_BYTES, trusted=[host])


def fit(file: Produced, data: bytes) -> Ready:
    """The file as a kind that the platform takes, at worst as a plain file. Raises `Unfit`."""
    if len(data) < LEAST_BYTES:
        raise Unfit("it is empty")
    name = _name(file)
    shown = _picture(name, data, IMAGE_BYTES) if file.kind == "image" else None
    if file.kind == "voice" and is_short_amr(data):
        shown = Ready("voice", _ending(name, ".amr"), data)
    if file.kind == "video" and data[4:8] == b"ftyp" and len(data) <= VIDEO_BYTES:
        shown = Ready("video", _ending(name, ".mp4"), data)
    return shown or Ready("file", name, data)


def is_short_amr(data: bytes) -> bool:
    """Whether this is a voice message as the platform plays it: AMR of at most a minute."""
    if not data.startswith(AMR) or len(data) > VOICE_BYTES:
        return False
    at, frames = len(AMR), 0
    while at < len(data):
        kind = data[at] >> 3 & 15
        at += AMR_FRAMES[kind] if kind < len(AMR_FRAMES) else 1
        frames += 1
    return frames * 0.02 <= AMR_S


def _picture(name: str, data: bytes, limit: int) -> Ready | None:
    """As it is where the platform shows it, else as JPEG or PNG; None for what is no picture, or too large a one."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > PIXELS:
                return None
            kind = picture.format
            if kind in ("JPEG", "PNG") and len(data) <= limit:
                return Ready("image", _ending(name, ".jpg" if kind == "JPEG" else ".png"), data)
            picture.load()
            return _made_smaller(name, picture, limit)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _made_smaller(name: str, picture: Image.Image, limit: int) -> Ready | None:
    """The first of the sizes that fits; what is seen through stays so."""
    clear = picture.has_transparency_data
    flat = picture.convert("RGBA" if clear else "RGB")
    for side in SIDES:
        shown = flat.copy()
        shown.thumbnail((side, side))
        out = io.BytesIO()
        if clear:
            shown.save(out, "PNG", optimize=True)
        else:
            shown.save(out, "JPEG", quality=85)
        if out.tell() <= limit:
            return Ready("image", _ending(name, ".png" if clear else ".jpg"), out.getvalue())
    return None


def _name(file: Produced) -> str:
    """A file's name as people see it; the address's last part where it has none."""
    name = file.name or unquote(PurePosixPath(urlsplit(file.url).path).name)
    words = "".join(
        letter for letter in name if letter.isprintable() and letter not in '/\\:*?"<>|'
    )
    stem, suffix = PurePosixPath(words or "file").stem, PurePosixPath(words).suffix
    return stem[:NAME_CHARACTERS] + suffix[:10]


def _ending(name: str, suffix: str) -> str:
    return name if name.lower().endswith(suffix) else PurePosixPath(name).stem + suffix
