"""The channel's routes: the platform's callbacks, the accounts, and the life of a message."""

from dataclasses import asdict

import structlog
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from tool_server import wake
from tool_server.auth import Keys
from tool_server.caller import Caller
from tool_server.channel import erase, letters
from tool_server.channel.account import Account
from tool_server.channel.accounts import read_account
from tool_server.channel.checks import check_account, check_bot
from tool_server.channel.doctor import examine
from tool_server.channel.public import MARK
from tool_server.channel.receive import check_address, receive
from tool_server.channel.services import Services
from tool_server.channel.surface import Callback, Refused
from tool_server.errors import BadRequest, Forbidden, NotFound, Unavailable

log = structlog.get_logger()

RELAY_HEADER = "X-Shenqiao-Relay"
QUERY_LIMIT = 4096


def blueprint(services: Services, keys: Keys) -> Blueprint:
    """`/channel/…`; callbacks need no key, the platform's signature is one."""
    routes = Blueprint("channel", __name__, url_prefix="/channel")

    @routes.get("/<name>/callback")
    def check(name: str) -> Response:
        try:
            callback = _callback(services.settings.channel_body_limit)
            return _marked(Response(check_address(services, name, callback), mimetype="text/plain"))
        except Refused as error:
            raise _refused(services, name, error) from None

    @routes.post("/<name>/callback")
    def deliver(name: str) -> Response:
        try:
            callback = _callback(services.settings.channel_body_limit)
            reply = receive(services, name, callback, Caller())
        except Refused as error:
            raise _refused(services, name, error) from None
        except Unavailable:
            services.metrics.refused("busy")
            raise
        return _marked(
            Response(reply.body, mimetype=reply.mimetype if reply.body else "text/plain")
        )

    _add_accounts(routes, services, keys)
    _add_messages(routes, services, keys)
    return routes


def _add_accounts(routes: Blueprint, services: Services, keys: Keys) -> None:
    @routes.get("/accounts")
    def names() -> Response:
        keys.require("admin")
        return jsonify(accounts=services.accounts.names())

    @routes.get("/accounts/<name>")
    def show(name: str) -> Response:
        keys.require("admin")
        return jsonify(account=_known(services, name).model_dump(mode="json"))

    @routes.put("/accounts/<name>")
    def save(name: str) -> Response:
        keys.require("admin")
        body = request.get_json(force=True)
        if not isinstance(body, dict):
            raise BadRequest("Send one JSON object.")
        account = read_account(body, services.accounts.get(name))
        services.accounts.save(name, account)
        log.info("account.saved", account=name)
        checks = check_account(services.settings, account)
        checks += check_bot(services.settings, services.database, name, account)
        return jsonify(account=account.model_dump(mode="json"), checks=[asdict(c) for c in checks])

    @routes.post("/accounts/<name>/check")
    def examine_account(name: str) -> Response:
        keys.require("admin")
        user = request.args.get("user", "")[:128]
        account = _known(services, name)
        checks = examine(services.settings, services.database, name, account, user)
        return jsonify(ok=all(c.ok for c in checks), checks=[asdict(c) for c in checks])

    @routes.delete("/accounts/<name>")
    def remove(name: str) -> Response:
        keys.require("admin")
        services.accounts.remove(name)
        log.info("account.removed", account=name)
        return jsonify(removed=name)


def _add_messages(routes: Blueprint, services: Services, keys: Keys) -> None:
    @routes.get("/accounts/<name>/messages/<path:platform_id>")
    def timeline(name: str, platform_id: str) -> Response:
        keys.require("channel")
        found = services.ledger.timeline(name, platform_id)
        if found is None:
            raise NotFound("No message of this account has this id.")
        return jsonify(found)

    @routes.post("/accounts/<name>/messages/<path:platform_id>/send")
    def send_again(name: str, platform_id: str) -> Response:
        keys.require("admin")
        letters.send_again(services.database, name, platform_id)
        wake.ring(services.settings.run_dir, "worker")
        log.info("letter.sent", account=name)
        return jsonify(sent=platform_id)

    @routes.get("/accounts/<name>/letters")
    def dead(name: str) -> Response:
        keys.require("admin")
        before = request.args.get("before", type=int)
        return jsonify(letters=letters.dead(services.database, name, before))

    @routes.delete("/accounts/<name>/people/<user>")
    def forget(name: str, user: str) -> Response:
        keys.require("admin")
        erased = erase.forget(services.database, name, user)
        log.info("person.erased", account=name, messages=erased["messages"])
        return jsonify(erased=erased)


def _known(services: Services, name: str) -> Account:
    account = services.accounts.get(name)
    if account is None:
        raise NotFound(f"There is no account {name}.")
    return account


def _marked(response: Response) -> Response:
    response.headers[MARK] = "1"
    return response


def _callback(body_limit: int) -> Callback:
    if len(request.query_string) > QUERY_LIMIT:
        raise Refused("query too long")
    given = request.args.to_dict(flat=False)
    if any(len(values) > 1 for values in given.values()):
        raise Refused("a parameter twice")  # which one counts would be a matter of taste
    return Callback(
        query=request.args.to_dict(),
        body=_body(body_limit),
        relayed=RELAY_HEADER in request.headers,
    )


def _body(limit: int) -> bytes:
    """A body whose length nobody told is cut at the limit without a word: one byte more shows that it was longer."""
    request.max_content_length = limit + 1
    body = request.get_data()
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body


def _refused(services: Services, name: str, error: Refused) -> Forbidden:
    """One answer for all that is wrong with a callback: the sender learns nothing of why."""
    services.metrics.refused("refused")
    log.warning("callback.refused", account=name[:64], reason=str(error))
    return Forbidden("This callback was refused.")
