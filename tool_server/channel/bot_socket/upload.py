"""Leaving a file with the platform over a long connection, in chunks; called by `connections`, in the loop.

Limits: developer.work.weixin.qq.com, document 101463.
"""

import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tool_server.channel.bot_socket.connection import Ack, Frame
from tool_server.channel.surface import MediaKind

INIT = "aibot_upload_media_init"
CHUNK = "aibot_upload_media_chunk"
FINISH = "aibot_upload_media_finish"
CHUNK_BYTES = 512 * 1024
CHUNKS = 100
TOO_LARGE = 45001

type Ask = Callable[[Frame], Awaitable[Ack]]


async def upload(ask: Ask, kind: MediaKind, name: str, data: bytes) -> Ack:
    """The last answer: with `media_id`, valid for three days, or the code of what went wrong."""
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    if not 0 < len(chunks) <= CHUNKS:
        return Ack(TOO_LARGE, f"a file of {len(data)} bytes has no place in {CHUNKS} chunks")
    name_of_all = f"upload-{secrets.token_hex(8)}"
    begin = {
        "type": kind,
        "filename": name,
        "total_size": len(data),
        "total_chunks": len(chunks),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
    }
    ack = await ask(Frame(INIT, name_of_all, begin))
    which: Mapping[str, Any] = {"upload_id": ack.body.get("upload_id", "")}
    for index, chunk in enumerate(chunks):
        if ack.code:
            return ack
        body = {**which, "chunk_index": index, "base64_data": base64.b64encode(chunk).decode()}
        ack = await ask(Frame(CHUNK, f"{name_of_all}-{index}", body))
    return ack if ack.code else await ask(Frame(FINISH, f"{name_of_all}-end", which))
