"""`/playground/kf/…`: what customers and the humans at the desk do, and what a tester breaks."""

from dataclasses import asdict
from typing import Annotated, Literal

from flask import Blueprint, Response, jsonify
from flask import request as asked
from pydantic import Field

from playground.wechat.control import Address, Body, Copies, refuse_bad_bodies
from playground.wechat.kf.limits import QUEUED
from playground.wechat.kf.service import CONTENTS, Service

type Kind = Annotated[str, Field(pattern=f"^(text|menu|{'|'.join(CONTENTS)})$")]


class OfAccount(Body):
    """Which service account; the first one where none is named."""

    open_kfid: str = ""


class Written(OfAccount):
    """A customer's message; `tell` says whether the product is told at once."""

    user: Annotated[str, Field(min_length=1, max_length=64)]
    text: Annotated[str, Field(max_length=20_000)] = ""
    kind: Kind = "text"
    age_s: Annotated[float, Field(ge=0)] = 0.0
    tell: bool = True
    copies: Copies = 1


class Queued(OfAccount):
    """`messages` of them, `Q 0000` and so on, by customers in turn; nobody is told."""

    messages: Annotated[int, Field(ge=1, le=QUEUED)]
    users: Annotated[int, Field(ge=1, le=QUEUED)]


class Human(OfAccount):
    """What the human does with a customer."""

    user: str
    does: Literal["take", "say", "end"]
    servicer: str = "servicer"
    text: str = ""
    tell: bool = True


class State(OfAccount):
    """A session's state changes, and no event says so."""

    user: str
    state: Annotated[int, Field(ge=0, le=4)]


class Fail(Body):
    """The message after the next `skip` ones is taken, and fails with this type."""

    fail_type: int
    skip: Annotated[int, Field(ge=0)] = 0


def kf_control(service: Service) -> Blueprint:
    """Hands of customers, of humans and of testers."""
    routes = Blueprint("kf_control", __name__, url_prefix="/playground/kf")
    refuse_bad_bodies(routes)
    _add_customers(routes, service)
    _add_testers(routes, service)
    return routes


def _add_customers(routes: Blueprint, service: Service) -> None:
    @routes.post("/messages")
    def messages() -> Response:
        said = Written.model_validate(asked.get_json())
        open_kfid = _account(service, said)
        msgid = service.write(open_kfid, said.user, said.text, said.kind, age_s=said.age_s)
        if said.tell:
            service.notices.tell(open_kfid, said.copies)
        return jsonify(msg_id=msgid)

    @routes.post("/queue")
    def queue() -> Response:
        wanted = Queued.model_validate(asked.get_json())
        open_kfid = _account(service, wanted)
        written = {}
        for number in range(wanted.messages):
            user = f"kf{number % wanted.users:05d}"
            msgid = service.write(open_kfid, user, f"Q {number:04d}", "text", age_s=0)
            written[msgid] = user
        return jsonify(messages=written)

    @routes.post("/enter")
    def enter() -> Response:
        body = asked.get_json()
        open_kfid = _account(service, OfAccount())
        code = service.enter(open_kfid, str(body["user"]))
        service.notices.tell(open_kfid)
        return jsonify(welcome_code=code)

    _add_human(routes, service)


def _add_human(routes: Blueprint, service: Service) -> None:
    @routes.post("/human")
    def human() -> Response:
        moved = Human.model_validate(asked.get_json())
        open_kfid = _account(service, moved)
        match moved.does:
            case "take":
                service.sessions.take(open_kfid, moved.user, moved.servicer)
            case "say":
                service.desk.say_as_servicer(open_kfid, moved.user, moved.text)
            case "end":
                service.sessions.end(open_kfid, moved.user)
        if moved.tell:
            service.notices.tell(open_kfid)
        return jsonify(ok=True)


def _add_testers(routes: Blueprint, service: Service) -> None:
    @routes.post("/callback_url")
    def callback_url() -> Response:
        address = Address.model_validate(asked.get_json())
        return jsonify(asdict(service.notices.courier.check_address(address.callback_url)))

    @routes.post("/tell")
    def tell() -> Response:
        service.notices.tell(_account(service, OfAccount.model_validate(asked.get_json())))
        return jsonify(ok=True)

    @routes.post("/state")
    def state() -> Response:
        changed = State.model_validate(asked.get_json())
        service.sessions.put(_account(service, changed), changed.user, changed.state)
        return jsonify(ok=True)

    @routes.post("/forget_tokens")
    def forget_tokens() -> Response:
        service.sync.tokens.forget()
        return jsonify(ok=True)

    @routes.post("/fail")
    def fail() -> Response:
        wanted = Fail.model_validate(asked.get_json())
        service.send.fail(wanted.fail_type, skip=wanted.skip)
        return jsonify(ok=True)

    @routes.get("/sessions")
    def sessions() -> Response:
        account = service.desk.accounts[_account(service, OfAccount())]
        states = {user: session.state for user, session in account.sessions.items()}
        return jsonify(sessions=states)


def _account(service: Service, named: OfAccount) -> str:
    return named.open_kfid or next(iter(service.desk.accounts))
