"""`/WW_verify_<16 characters>.txt`: how the WeCom console sees that a domain is ours; called once by `create_app`."""

import re

from flask import Blueprint, Response

from tool_server.channel.account import WeComApp
from tool_server.channel.accounts import Accounts
from tool_server.errors import NotFound

CODE = re.compile(r"[A-Za-z0-9]{16}")


def blueprint(accounts: Accounts) -> Blueprint:
    """The file that the console made for the trusted domain (可信域名); its content is its name's random part."""
    routes = Blueprint("verify_file", __name__)

    @routes.get("/WW_verify_<code>.txt")
    def verify(code: str) -> Response:
        if not CODE.fullmatch(code) or code not in _codes(accounts):
            raise NotFound("There is no such file.")
        return Response(code, mimetype="text/plain")

    return routes


def _codes(accounts: Accounts) -> set[str]:
    found = accounts.everything().values()
    return {account.verify_code for account in found if isinstance(account, WeComApp)}
