"""The status page of an account, by way of Dify's endpoint or directly, and the codes that open it.

The address is public: without a code everybody sees the same page, whether there is such an account or not.
"""

import re
import time

import structlog
from flask import Blueprint, Response, jsonify, request

from tool_server.auth import Keys
from tool_server.channel.page_routes import browser_language, send_html
from tool_server.channel.public import public_of
from tool_server.channel.services import Services
from tool_server.channel.status import Reports
from tool_server.channel.status_codes import is_code, make_code
from tool_server.channel.status_html import Shown, content_security_policy, render

log = structlog.get_logger()

# By which the relay tells a page the address of its endpoint.
DOOR_HEADER = "X-Shenqiao-Door"
DOOR = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]{1,253}/[A-Za-z0-9._~/-]{0,200}")
FORM_LIMIT = 4096


def blueprint(services: Services, keys: Keys) -> Blueprint:
    """`/channel/<name>/status` and `/channel/status-code`."""
    routes = Blueprint("status", __name__, url_prefix="/channel")
    reports = Reports(services.settings, services.database)

    @routes.get("/<name>/status")
    def closed(name: str) -> Response:
        return _page(Shown(url=_callback(name)))

    @routes.post("/<name>/status")
    def opened(name: str) -> Response:
        request.max_content_length = FORM_LIMIT
        code = request.form.get("code", "")
        if not is_code(services.database, code):
            log.warning("status.refused", account=name[:64])
            return _page(Shown(url=_callback(name), wrong=bool(code)))
        account = services.accounts.get(name)
        if account is None:
            names = services.accounts.names()
            return _page(Shown(url=_callback(name), code=code, names=tuple(names)))
        url = public_of(services.settings, name, account).callback or _callback(name)
        return _page(Shown(url=url, code=code, items=tuple(reports.of(name, account))))

    @routes.post("/status-code")
    def code() -> Response:
        keys.require("admin")
        life_s = services.settings.channel_status_code_s
        made = make_code(services.database, life_s)
        return jsonify(code=made, expires_at=time.time() + life_s)

    return routes


def _page(shown: Shown) -> Response:
    return send_html(render(shown, browser_language()), 200, content_security_policy())


def _callback(name: str) -> str:
    """The callback URL of whoever asks: beside the page's own address, as its door tells it."""
    door = request.headers.get(DOOR_HEADER, "")
    if DOOR.fullmatch(door):
        return f"{door.rstrip('/')}/callback"
    return f"{request.host_url}channel/{name}/callback"
