"""`/playground/…`: a person's hands and eyes, and a tester's; called by tests, the stage and whoever is curious."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Annotated

from flask import Blueprint, Response, jsonify, request
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from playground.wechat import attack as attacks
from playground.wechat import export
from playground.wechat.deliver import Busy
from playground.wechat.faults import Fault
from playground.wechat.limits import COPIES, LONGEST_WAIT_S
from playground.wechat.message import KINDS
from playground.wechat.platform import Platform

type Copies = Annotated[int, Field(ge=1, le=COPIES)]
FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


class Body(BaseModel):
    """What somebody sends; an unknown field is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Written(Body):
    """A person's message."""

    user: Annotated[str, Field(min_length=1, max_length=64)]
    text: Annotated[str, Field(max_length=20_000)] = ""
    kind: str = "text"
    copies: Copies = 1
    fields: dict[str, str] = {}  # inner fields that are other than the usual ones of the kind
    file: Base64Bytes = b""  # what lies under the message's MediaId
    file_name: str = ""


class Press(Body):
    """A person presses a button of a card."""

    user: str
    task: str
    key: str


class Again(Body):
    """A message that was delivered before, to be delivered once more."""

    msg_id: str
    copies: Copies = 1


class Address(Body):
    """A callback URL for the console's form."""

    callback_url: Annotated[str, Field(pattern=r"^https?://")]


class Attack(Body):
    """A forgery by its name."""

    kind: str


class Look(Body):
    """Whose bubbles, from which on, and how long to wait for the next."""

    user: str
    after: int = 0
    wait_s: Annotated[float, Field(ge=0, le=LONGEST_WAIT_S)] = 0.0


def control_blueprint(platform: Platform) -> Blueprint:
    """Hands and eyes; `_add_tester` has the rest."""
    routes = Blueprint("control", __name__, url_prefix="/playground")
    refuse_bad_bodies(routes)

    @routes.post("/callback_url")
    def callback_url() -> Response:
        address = Address.model_validate(request.get_json())
        return jsonify(asdict(platform.courier.check_address(address.callback_url)))

    @routes.post("/messages")
    def messages() -> tuple[Response, int] | Response:
        written = Written.model_validate(request.get_json())
        if written.kind not in KINDS:
            return _unknown("kind", KINDS)
        return _begin(lambda: _write(platform, written))

    @routes.post("/press")
    def press() -> tuple[Response, int] | Response:
        pressed = Press.model_validate(request.get_json())
        try:
            return _begin(lambda: platform.press(pressed.user, pressed.task, pressed.key))
        except KeyError:
            return jsonify(error="there is no such button"), 404

    @routes.post("/replay")
    def replay() -> tuple[Response, int] | Response:
        again = Again.model_validate(request.get_json())
        try:
            known = platform.replay(again.msg_id, again.copies)
        except Busy:
            return _busy()
        return jsonify(ok=known), 200 if known else 404

    @routes.get("/seen")
    def seen() -> Response:
        look = Look.model_validate(request.args.to_dict())
        found = platform.ledger.seen(look.user, after=look.after, wait_s=look.wait_s)
        return jsonify(seen=found)

    _add_ledger(routes, platform)
    _add_tester(routes, platform)
    return routes


def refuse_bad_bodies(routes: Blueprint) -> None:
    """A body that does not fit is a 400 that names the field."""

    @routes.errorhandler(ValidationError)
    def refuse(error: ValidationError) -> tuple[Response, int]:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        return jsonify(error=f"{field}: {first['msg']}"), 400


def _add_ledger(routes: Blueprint, platform: Platform) -> None:
    @routes.get("/deliveries")
    def deliveries() -> Response:
        return jsonify(deliveries=platform.ledger.deliveries(request.args.get("msg_id", "")))

    @routes.get("/ledger")
    def ledger() -> Response:
        return Response(export.lines(platform.ledger), mimetype="application/x-ndjson")

    @routes.get("/calls")
    def calls() -> Response:
        return jsonify(calls=platform.ledger.calls())

    @routes.get("/counts")
    def counts() -> Response:
        return jsonify(dict(platform.ledger.counts))


def _add_tester(routes: Blueprint, platform: Platform) -> None:
    @routes.post("/script")
    def script() -> Response:
        platform.api.script(FAULT.validate_python(request.get_json()))
        return jsonify(ok=True)

    @routes.delete("/script")
    def clear_script() -> Response:
        platform.api.faults.clear()
        return jsonify(ok=True)

    @routes.post("/forget_token")
    def forget_token() -> Response:
        platform.api.forget_token()
        return jsonify(ok=True)

    @routes.post("/attack")
    def attack() -> tuple[Response, int] | Response:
        kind = Attack.model_validate(request.get_json()).kind
        if kind not in attacks.KINDS:
            return _unknown("kind", attacks.KINDS)
        if not platform.courier.callback_url:
            return jsonify(error="callback_url: none is set yet"), 409
        return jsonify(asdict(platform.attack(kind)))


def _write(platform: Platform, written: Written) -> str:
    more = dict(written.fields)
    if written.file:
        more["MediaId"] = platform.media.add(written.kind, written.file_name, written.file)
    return platform.write(
        written.user, written.text, written.kind, written.copies, tuple(more.items())
    )


def _begin(write: Callable[[], str]) -> tuple[Response, int] | Response:
    try:
        return jsonify(msg_id=write())
    except Busy:
        return _busy()


def _busy() -> tuple[Response, int]:
    return jsonify(error="too many deliveries are on their way"), 429


def _unknown(field: str, known: Iterable[str]) -> tuple[Response, int]:
    return jsonify(error=f"{field}: choose one of {', '.join(known)}"), 400
