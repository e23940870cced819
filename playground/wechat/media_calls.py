"""media/upload and media/get (90253, 90254), and the encrypted addresses of the bots; called by `routes`."""

import time
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, request

from playground.wechat.api import error
from playground.wechat.media import SEALED
from playground.wechat.platform import Platform

# A form around the file; far over the limits nothing is read.
BODY_BYTES = 64 * 1024 * 1024


def upload(platform: Platform, token: str) -> dict[str, Any]:
    """`?type=…` and a form with `media`."""
    if code := platform.api.tokens.fault(token):
        return error(code)
    request.max_content_length = BODY_BYTES
    kind, file = request.args.get("type", ""), request.files.get("media")
    if file is None:
        return error(41005)
    code, media_id = platform.media.upload(kind, file.filename or "", file.read())
    if code:
        return error(code)
    created_at = str(int(time.time()))
    return {
        "errcode": 0,
        "errmsg": "ok",
        "type": kind,
        "media_id": media_id,
        "created_at": created_at,
    }


def get(platform: Platform, token: str) -> dict[str, Any] | Response:
    """`?media_id=…`: the bytes, with their name."""
    if code := platform.api.tokens.fault(token):
        return error(code)
    medium = platform.media.get(request.args.get("media_id", ""))
    if medium is None or medium.kind == SEALED:
        return error(40007)
    return Response(
        medium.data,
        mimetype="application/octet-stream",
        headers={"Content-Disposition": _disposition(medium.name)},
    )


def address_blueprint(platform: Platform) -> Blueprint:
    """`/media/<name>`: what `Media.seal` made; needs no token."""
    routes = Blueprint("media", __name__)

    @routes.get("/media/<name>")
    def sealed(name: str) -> Response:
        medium = platform.media.get(name)
        if medium is None or medium.kind != SEALED:
            return Response("gone", status=404)
        return Response(medium.data, mimetype="application/octet-stream")

    return routes


def _disposition(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name)}" if name else "attachment"
