"""The channel's routes: the platform's callbacks, the accounts, and the life of a message."""

import structlog
from flask import Blueprint, Response, jsonify, request
from pydantic import ValidationError

from tool_server.auth import Keys
from tool_server.caller import Caller
from tool_server.channel.account import Account, parse_account, secret_fields
from tool_server.channel.checks import check_account
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
            return Response(check_address(services, name, _callback()), mimetype="text/plain")
        except Refused as error:
            raise _refused(services, name, error) from None

    @routes.post("/<name>/callback")
    def deliver(name: str) -> Response:
        request.max_content_length = services.settings.channel_body_limit
        try:
            reply = receive(services, name, _callback(), Caller())
        except Refused as error:
            raise _refused(services, name, error) from None
        except Unavailable:
            services.metrics.refused("busy")
            raise
        return Response(reply.body, mimetype="text/xml" if reply.body else "text/plain")

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
        return jsonify(account=account.model_dump(mode="json"), checks=checks)

    @routes.delete("/accounts/<name>")
    def remove(name: str) -> Response:
        keys.require("admin")
        services.accounts.remove(name)
        log.info("account.removed", account=name)
        return jsonify(removed=name)


def _add_messages(routes: Blueprint, services: Services, keys: Keys) -> None:
    @routes.get("/accounts/<name>/messages/<platform_id>")
    def timeline(name: str, platform_id: str) -> Response:
        keys.require("channel")
        found = services.ledger.timeline(name, platform_id)
        if found is None:
            raise NotFound("No message of this account has this id.")
        return jsonify(found)


def read_account(body: dict[str, object], before: Account | None) -> Account:
    """The account in `body`; a secret that is left out, or comes back as "…", stays as it was. Raises `BadRequest`."""
    values = dict(body)
    for name in secret_fields(before) if before is not None else ():
        if values.get(name, "…") == "…":
            values[name] = getattr(before, name).get_secret_value()
    try:
        return parse_account(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise BadRequest(f"{field}: {first['msg']}", param=field) from None


def _known(services: Services, name: str) -> Account:
    account = services.accounts.get(name)
    if account is None:
        raise NotFound(f"There is no account {name}.")
    return account


def _callback() -> Callback:
    if len(request.query_string) > QUERY_LIMIT:
        raise Refused("query too long")
    return Callback(
        query=request.args.to_dict(),
        body=request.get_data(),
        relayed=RELAY_HEADER in request.headers,
    )


def _refused(services: Services, name: str, error: Refused) -> Forbidden:
    """One answer for all that is wrong with a callback: the sender learns nothing of why."""
    services.metrics.refused("refused")
    log.warning("callback.refused", account=name[:64], reason=str(error))
    return Forbidden("This callback was refused.")
