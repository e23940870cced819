"""What each command of a subscribed bot does, and the code that it gets; called by `bot` for one frame at a time."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from playground.wechat.bot_socket import codes
from playground.wechat.bot_socket.callbacks import Callback, Callbacks
from playground.wechat.bot_socket.quota import Quota
from playground.wechat.bot_socket.uploads import Result, Uploads
from playground.wechat.cards import Cards
from playground.wechat.config import BotSocketConfig
from playground.wechat.ledger import Ledger
from playground.wechat.limits import ENTRIES, BotLimits, CardLimits
from playground.wechat.media import KINDS, Media
from playground.wechat.streams import Streams


class Commands:
    """The commands but for `aibot_subscribe`; state lies in what it is made of."""

    def __init__(
        self, config: BotSocketConfig, ledger: Ledger, media: Media, callbacks: Callbacks
    ) -> None:
        limits = config.limits
        self._config = config
        self._limits = limits
        self._ledger = ledger
        self._media = media
        self._callbacks = callbacks
        self._streams = Streams(ledger, BotLimits(content_bytes=limits.content_bytes))
        self._quota = Quota(limits.per_minute, limits.per_hour)
        self._pushed = Quota(1, 1)  # a req_id is taken once
        self._commands: Mapping[str, Callable[[str, Mapping[str, Any]], Result]] = {
            "ping": lambda _req_id, _body: (codes.OK, {}),
            "aibot_respond_msg": self._respond,
            "aibot_respond_welcome_msg": self._welcome,
            "aibot_respond_update_msg": self._update,
            "aibot_send_msg": self._send,
            "aibot_upload_media_init": lambda _req_id, body: uploads.init(body),
            "aibot_upload_media_chunk": lambda _req_id, body: uploads.chunk(body),
            "aibot_upload_media_finish": lambda _req_id, body: uploads.finish(body),
        }
        uploads = Uploads(limits, media)
        self._cards = Cards(CardLimits())
        self.cards: dict[str, str] = {}  # how cards look that were changed, by task

    def run(self, cmd: str, req_id: str, body: Mapping[str, Any]) -> Result:
        """The code and the body of the answer."""
        command = self._commands.get(cmd)
        return command(req_id, body) if command is not None else (codes.UNKNOWN_COMMAND, {})

    def _respond(self, req_id: str, body: Mapping[str, Any]) -> Result:
        callback = self._callbacks.get(req_id)
        if callback is None or callback.age_s() > self._limits.reply_s:
            return codes.BAD_REQ_ID, {}
        if body.get("msgtype") == "stream":
            return self._stream(callback, body.get("stream"))
        text, code = self._text(body)
        if code or not self._quota.take(callback.conversation):
            return code or codes.TOO_MANY, {}
        self._callbacks.answered(callback)
        self._show(callback.message.user, callback.message.chat, text, req_id)
        return codes.OK, {}

    def _stream(self, callback: Callback, stream: object) -> Result:
        if not isinstance(stream, dict) or not _is_stream(stream):
            return codes.BAD_BODY, {}
        first = callback.streams.setdefault(stream["id"], time.monotonic())
        finished = self._streams.finished(stream["id"])
        if finished and self._config.finish_again == "expired":
            return codes.STREAM_EXPIRED, {}
        if time.monotonic() - first > self._limits.stream_s:
            return codes.STREAM_EXPIRED, {}
        final, message = stream["finish"], callback.message
        counts = not finished and (final or self._config.refreshes_count)
        if counts and not self._quota.take(callback.conversation):
            return codes.TOO_MANY, {}
        wrong = self._streams.show(
            stream["id"],
            user=message.user,
            chat=message.chat,
            msg_id=message.id,
            content=stream["content"],
            finish=final,
        )
        if wrong:
            return codes.STREAM_EXPIRED if finished else codes.BAD_BODY, {}
        if final:
            self._callbacks.answered(callback)
        return codes.OK, {}

    def _welcome(self, req_id: str, body: Mapping[str, Any]) -> Result:
        callback, code = self._event(req_id, "enter_chat")
        if callback is None:
            return code, {}
        text, code = self._text(body)
        if not code:
            self._callbacks.answered(callback)
            self._show(callback.message.user, "", text, req_id)
        return code, {}

    def _update(self, req_id: str, body: Mapping[str, Any]) -> Result:
        callback, code = self._event(req_id, "template_card_event")
        if callback is None:
            return code, {}
        card = body.get("template_card")
        if body.get("response_type") != "update_template_card" or self._cards.fault(card):
            return codes.BAD_BODY, {}
        self._callbacks.answered(callback)
        self._ledger.count("card_updated")
        self.cards[str(body["template_card"]["task_id"])] = self._cards.send(body["template_card"])
        if len(self.cards) > ENTRIES:
            del self.cards[next(iter(self.cards))]
        return codes.OK, {}

    def _send(self, req_id: str, body: Mapping[str, Any]) -> Result:
        where = body.get("chatid")
        if not isinstance(where, str) or not self._callbacks.knows(where):
            return codes.NEVER_WROTE, {}
        text, code = self._text(body)
        if code:
            return code, {}
        if self._config.push_once and not self._pushed.take(req_id):
            self._ledger.count("push_repeated")
            return codes.OK, {}
        if not self._quota.take(where):
            return codes.TOO_MANY, {}
        self._ledger.count("pushed")
        self._show(where, "", text, req_id)
        return codes.OK, {}

    def _event(self, req_id: str, kind: str) -> tuple[Callback | None, int]:
        callback = self._callbacks.get(req_id)
        if callback is None or callback.message.kind != kind:
            return None, codes.BAD_REQ_ID
        if callback.age_s() > self._limits.event_s:
            return None, codes.BAD_REQ_ID
        return callback, codes.OK

    def _text(self, body: Mapping[str, Any]) -> tuple[str, int]:
        """What a person sees of a message, and the code that speaks against it."""
        kind = str(body.get("msgtype"))
        part = body.get(kind)
        if not isinstance(part, dict):
            return "", codes.BAD_BODY
        if kind in KINDS:
            held = self._media.get(str(part.get("media_id", "")))
            if held is None or held.kind != kind:
                return "", codes.BAD_MEDIA
            return f"[{kind}] {held.name}", codes.OK
        if kind == "template_card":
            fault = self._cards.fault(part)
            return ("" if fault else self._cards.send(part)), fault
        content = part.get("content")
        if kind not in ("text", "markdown") or not isinstance(content, str) or not content:
            return "", codes.BAD_BODY
        fits = len(content.encode(errors="replace")) <= self._limits.content_bytes
        return content, codes.OK if fits else codes.BAD_BODY

    def _show(self, user: str, chat: str, text: str, req_id: str) -> None:
        self._ledger.show(user, "push", text, push_id=req_id, chat=chat)


def _is_stream(stream: Mapping[str, Any]) -> bool:
    return (
        "msg_item" not in stream  # 101463: a long connection's streams carry none
        and isinstance(stream.get("id"), str)
        and bool(stream["id"])
        and isinstance(stream.get("finish"), bool)
        and isinstance(stream.get("content"), str)
    )
