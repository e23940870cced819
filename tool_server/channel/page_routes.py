"""The routes of pages with whole answers, and of the sign-in before those that are for one person alone."""

import structlog
from flask import Blueprint, Response, request

from tool_server.channel.account import WeComApp
from tool_server.channel.oauth import SignInError, same_user
from tool_server.channel.page import Page
from tool_server.channel.page_html import content_security_policy, notice, render
from tool_server.channel.public import MARK, Public, public_of
from tool_server.channel.services import Services
from tool_server.words import Language

log = structlog.get_logger()

STATE_COOKIE = "shenqiao-sign-in"
SESSION_COOKIE = "shenqiao-reader"


def blueprint(services: Services) -> Blueprint:
    """`/channel/answers/…` and `/channel/login`; the address, or WeCom, says who may read."""
    routes = Blueprint("pages", __name__, url_prefix="/channel")

    @routes.get("/answers/<secret>")
    def answer(secret: str) -> Response:
        page = services.pages.read(secret)
        if page is None:
            return _notice("page_gone", browser_language(), 404)
        return _shown(services, page, secret)

    @routes.get("/login")
    def login() -> Response:
        """WeCom sends the browser back here, with a code that says who it is."""
        try:
            return _signed_in(services)
        except SignInError as error:
            log.warning("login.failed", reason=str(error))
            status = 503 if error.word == "login_away" else 403
            return _notice(error.word, browser_language(), status)

    return routes


def _shown(services: Services, page: Page, secret: str) -> Response:
    """The page; of one that is a single person's, what leads there."""
    if not page.user:
        return _html(render(page), 200)
    account = services.accounts.get(page.account)
    if not isinstance(account, WeComApp):
        return _notice("page_gone", page.language, 404)
    reader = services.sign_in.who(request.cookies.get(SESSION_COOKIE, ""), page.account)
    if same_user(reader, page.user):
        return _html(render(page), 200)
    if reader:
        return _notice("page_other", page.language, 403)
    public = public_of(services.settings, page.account, account)
    start = services.sign_in.start(page.account, account, secret, public.login)
    response = _redirect(start.url)
    _set_cookie(public, response, STATE_COOKIE, start.cookie)
    return response


def _signed_in(services: Services) -> Response:
    """Back to the page, now with a cookie that says who reads. Raises `SignInError`."""
    sign_in = services.sign_in
    state, code = request.args.get("state", ""), request.args.get("code", "")
    attempt = sign_in.attempt(request.cookies.get(STATE_COOKIE, ""), state)
    account = services.accounts.get(attempt.account)
    if not isinstance(account, WeComApp):
        raise SignInError("page_gone", "no such app")
    user = sign_in.user(account, code)
    public = public_of(services.settings, attempt.account, account)
    response = _redirect(f"answers/{attempt.page}")  # beside `login`, whatever stands before it
    _set_cookie(public, response, SESSION_COOKIE, sign_in.session(attempt.account, user))
    return response


def _set_cookie(public: Public, response: Response, name: str, value: str) -> None:
    """Of this browser's session only; what is sealed in it says how long it counts.

    One cookie an answer: of several, Dify's endpoints let one through.
    """
    response.set_cookie(
        name,
        value,
        path=public.cookie_path,
        httponly=True,
        secure=public.secure,
        samesite="Lax",
    )


def _redirect(url: str) -> Response:
    response = _html("", 302)
    response.headers["Location"] = url
    return response


def _notice(word: str, language: Language, status: int) -> Response:
    return _html(notice(word, language), status)


def _html(body: str, status: int) -> Response:
    return send_html(body, status, content_security_policy())


def send_html(body: str, status: int, policy: str) -> Response:
    """A page that no browser, proxy or search engine keeps; `policy` is what it may load."""
    response = Response(body, status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = policy
    response.headers[MARK] = "1"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def browser_language() -> Language:
    """Where no page says it: what the browser asks for."""
    return "en" if request.accept_languages.best_match(["zh", "en"], "zh") == "en" else "zh"
