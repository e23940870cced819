"""The bot over HTTP: the address of its active reply, and `/playground/bot/…` for whoever plays or tests."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import Field, TypeAdapter

from playground.wechat.bot.active import PATH
from playground.wechat.bot.bot import Bot, InInteraction
from playground.wechat.bot.message import IN_GROUPS, Written
from playground.wechat.config import Chances
from playground.wechat.control import Address, Again, Body, Copies, refuse_bad_bodies
from playground.wechat.deliver import Busy
from playground.wechat.platform import Platform
from playground.wechat.routes import answer_call

CHANCES: TypeAdapter[Chances] = TypeAdapter(Chances)


class BotWritten(Body):
    """A person's message to the bot; `chat` is the group in which it stands."""

    user: Annotated[str, Field(min_length=1, max_length=64)]
    text: Annotated[str, Field(max_length=20_000)] = ""
    kind: Literal["text", "image", "mixed", "voice", "file", "video"] = "text"
    chat: Annotated[str, Field(max_length=64)] = ""
    quote: Annotated[str, Field(max_length=20_000)] = ""
    media: Annotated[str, Field(max_length=2000)] = ""
    copies: Copies = 1


class Happened(Body):
    """An event; `data` is what the platform puts into it."""

    user: Annotated[str, Field(min_length=1, max_length=64)]
    event: Literal["enter_chat", "template_card_event"]
    data: dict[str, Any] = Field(default_factory=dict)


class Pressed(Body):
    """A thumb: 1 up, 2 down, 3 taken back."""

    msg_id: str
    type: Literal[1, 2, 3]
    content: str = ""
    reasons: list[int] = Field(default_factory=list)


def active_blueprint(platform: Platform, bot: Bot) -> Blueprint:
    """What the response_url of a message leads to; the API's fault script holds here too."""
    routes = Blueprint("bot_active", __name__)

    @routes.post(PATH)
    def active() -> Response:
        raw, code = request.get_data(), request.args.get("response_code", "")
        return answer_call(platform, lambda: bot.active.answer(code, raw))

    return routes


def bot_blueprint(bot: Bot) -> Blueprint:
    """`/playground/bot/…`; what is seen and counted stands with the app's, under `/playground/`."""
    routes = Blueprint("bot", __name__, url_prefix="/playground/bot")
    refuse_bad_bodies(routes)

    @routes.post("/callback_url")
    def callback_url() -> Response:
        address = Address.model_validate(request.get_json())
        return jsonify(asdict(bot.courier.check_address(address.callback_url)))

    @routes.post("/messages")
    def messages() -> tuple[Response, int] | Response:
        body = BotWritten.model_validate(request.get_json())
        if body.chat and body.kind not in IN_GROUPS:
            return jsonify(error=f"kind: a group brings {' and '.join(IN_GROUPS)} only"), 400
        written = Written(**body.model_dump(exclude={"copies"}))
        return _begin(lambda: bot.write(written, body.copies))

    @routes.post("/events")
    def events() -> tuple[Response, int] | Response:
        body = Happened.model_validate(request.get_json())
        return _begin(lambda: bot.happen(body.user, body.event, body.data))

    @routes.post("/feedback")
    def feedback() -> tuple[Response, int] | Response:
        body = Pressed.model_validate(request.get_json())
        return _begin(lambda: bot.press(body.msg_id, body.type, body.content, body.reasons))

    _add_tester(routes, bot)
    return routes


def _add_tester(routes: Blueprint, bot: Bot) -> None:
    @routes.post("/replay")
    def replay() -> tuple[Response, int] | Response:
        again = Again.model_validate(request.get_json())
        return _begin(lambda: "ok" if bot.replay(again.msg_id, again.copies) else None)

    @routes.put("/chances")
    def chances() -> Response:
        bot.courier.chances = CHANCES.validate_python(request.get_json())
        return jsonify(ok=True)

    @routes.get("/refreshes")
    def refreshes() -> Response:
        reply = bot.courier.first_reply(request.args.get("msg_id", ""))
        found = bot.courier.refreshes(reply.id) if reply else []
        return jsonify(
            stream=reply.id if reply else "", refreshes=[asdict(refresh) for refresh in found]
        )


def _begin(act: Callable[[], str | None]) -> tuple[Response, int] | Response:
    try:
        msg_id = act()
    except InInteraction:
        return jsonify(error="this person has too many messages in interaction"), 429
    except Busy:
        return jsonify(error="too many deliveries are on their way"), 429
    if msg_id is None:
        return jsonify(error="msg_id: unknown, or without feedback"), 404
    return jsonify(msg_id=msg_id)
