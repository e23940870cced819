"""Signing in at the platform (OAuth2, 91022): the page that sends a browser back with a code, and what that is worth.

Real WeChat knows whose phone it is. Here the browser says it, by a cookie that `/connect/as/<user>` sets.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, redirect, request

from playground.wechat.limits import OAuthLimits

COOKIE = "phone_of"
STATE = re.compile(r"[A-Za-z0-9]{0,128}")
SCOPES = ("snsapi_base", "snsapi_privateinfo")


class OAuth:
    """Codes of one app: each good once, for a while, for who signed in."""

    def __init__(
        self,
        corp_id: str,
        agent_id: int,
        limits: OAuthLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.corp_id = corp_id
        self.agent_id = agent_id
        self.trusted_domains: set[str] = set(limits.trusted_domains)
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def refusal(self, query: dict[str, str]) -> tuple[int, str]:
        """The code and the words that a browser is shown instead of going on; 0 where nothing is wrong."""
        host = urlsplit(query.get("redirect_uri", "")).netloc
        if query.get("appid") != self.corp_id:
            return 40013, "invalid appid"
        if query.get("agentid", str(self.agent_id)) != str(self.agent_id):
            return 40056, "invalid agentid"
        if query.get("response_type") != "code" or query.get("scope") not in SCOPES:
            return 40058, "response_type and scope"
        if not STATE.fullmatch(query.get("state", "")):
            return 40058, "state"
        if host not in self.trusted_domains:
            return 50001, "redirect_uri is not of a trusted domain"
        return 0, ""

    def new_code(self, user: str) -> str:
        """A code for who signed in; the oldest are forgotten."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = (user, self._clock() + self._limits.code_s)
            while len(self._codes) > self._limits.codes:
                self._codes.popitem(last=False)
        return code

    def user_of(self, code: str) -> dict[str, Any]:
        """The answer of `auth/getuserinfo`: a member by `userid`, anybody else by `openid`."""
        with self._lock:
            user, until = self._codes.pop(code, ("", 0.0))
        if not user or self._clock() > until:
            return {"errcode": 40029, "errmsg": "invalid code"}
        name = "openid" if user.startswith("outside-") else "userid"
        return {"errcode": 0, "errmsg": "ok", name: user}


def oauth_blueprint(oauth: OAuth) -> Blueprint:
    """`/connect/…`: what a browser sees of the platform."""
    routes = Blueprint("oauth", __name__, url_prefix="/connect")

    @routes.get("/oauth2/authorize")
    def authorize() -> Response:
        query = request.args.to_dict()
        code, words = oauth.refusal(query)
        if code:
            return Response(f"{code} {words}", 400, mimetype="text/plain")
        user = request.cookies.get(COOKIE, "")
        if not user:
            return Response("Open this in WeChat.", 200, mimetype="text/plain")
        back = query["redirect_uri"]
        more = urlencode({"code": oauth.new_code(user), "state": query.get("state", "")})
        return _to(f"{back}{'&' if '?' in back else '?'}{more}")

    @routes.get("/as/<user>")
    def phone_of(user: str) -> Response:
        """From now on this browser is the WeChat of this person."""
        response = Response(f"This is the phone of {user}.", mimetype="text/plain")
        response.set_cookie(COOKIE, user, httponly=True, samesite="Lax")
        return response

    return routes


def _to(url: str) -> Response:
    answer = redirect(url)
    return Response(status=302, headers={"Location": answer.headers["Location"]})
