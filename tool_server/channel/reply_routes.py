"""`/channel/reply`: what a tool of the app sends to the person who asks, by the message's ticket; see `replies`."""

from typing import Annotated

import structlog
from flask import Blueprint, Response, jsonify, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tool_server.auth import Keys
from tool_server.channel import reply_card, wxxml
from tool_server.channel.outbound import FILE_BYTES
from tool_server.channel.replies import IsSource, Kept, Presented, Replies, Wanted
from tool_server.channel.services import Services
from tool_server.errors import BadRequest

log = structlog.get_logger()

# Fields and boundaries around a file.
FORM_BYTES = 64 * 1024
NAME_CHARACTERS = 200


def _within(limit: int) -> AfterValidator:
    """At most so many bytes of UTF-8: what is longer the platform cuts without a word."""

    def check(value: str) -> str:
        shown = wxxml.clean(value).strip()
        size = len(shown.encode())
        if size > limit:
            raise ValueError(f"has {size} bytes of UTF-8, {limit} are shown")
        return shown

    return AfterValidator(check)


class CardRequest(BaseModel):
    """What the card shall show."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Annotated[str, Field(min_length=1), _within(reply_card.TITLE_BYTES)]
    text: Annotated[str, _within(reply_card.TEXT_BYTES)] = ""
    link: Annotated[str, _within(1000)] = ""
    buttons: tuple[Annotated[str, Field(min_length=1), _within(reply_card.ASK_BYTES)], ...] = Field(
        (), max_length=reply_card.ASKS
    )


class ReplyRequest(BaseModel):
    """The body of a request with a card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ticket: str = Field(min_length=1, max_length=64)
    app: str = Field("", max_length=64)
    conversation: str = Field("", max_length=64)

    @property
    def presented(self) -> Presented:
        return Presented(self.ticket, self.app, self.conversation)


class CardReply(ReplyRequest):
    card: CardRequest


def blueprint(services: Services, keys: Keys, is_source: IsSource) -> Blueprint:
    """A key of the scope `knowledge` is enough: what it opens, the ticket alone decides."""
    routes = Blueprint("replies", __name__, url_prefix="/channel")
    replies = Replies(
        services.settings, services.database, services.accounts, services.api, is_source
    )

    @routes.post("/reply")
    def reply() -> Response:
        keys.require("knowledge")
        is_form = request.mimetype == "multipart/form-data"
        kept = _file(replies) if is_form else _card(replies)
        services.metrics.replied(kept.kind, again=kept.again)
        log.info("reply.kept", kind=kept.kind, again=kept.again)
        return jsonify(kind=kept.kind, again=kept.again)

    return routes


def _card(replies: Replies) -> Kept:
    asked = CardReply.model_validate(request.get_json(force=True))
    card = asked.card
    return replies.card(asked.presented, Wanted(card.title, card.text, card.link, card.buttons))


def _file(replies: Replies) -> Kept:
    """A form with `ticket`, `app`, `conversation` and one `file`."""
    request.max_content_length = min(FILE_BYTES, replies.settings.channel_reply_bytes) + FORM_BYTES
    asked = ReplyRequest.model_validate(request.form.to_dict())
    file = request.files.get("file")
    if file is None:
        raise BadRequest("file: send one file.", param="file")
    return replies.file(asked.presented, (file.filename or "")[-NAME_CHARACTERS:], file.read())
