"""One bot on the platform: people write to it, its streams are polled, they press thumbs; for routes and phone."""

import itertools
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from playground.wechat.bot.active import ActiveReplies
from playground.wechat.bot.courier import BotCourier
from playground.wechat.bot.envelope import Envelope
from playground.wechat.bot.message import BotMessage, Written, event_message, written_message
from playground.wechat.config import BotConfig
from playground.wechat.crypto import Secrets
from playground.wechat.ledger import Ledger
from playground.wechat.limits import MESSAGES
from playground.wechat.media import Media
from playground.wechat.streams import Streams

THUMB_DOWN = 2
# What comes along where a test gives no address: the kind of it, and its bytes.
WITH_MEDIA = {"image": "image", "mixed": "image", "file": "file", "video": "video"}
# The smallest PNG that viewers open: one grey point.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


class InInteraction(Exception):
    """This person has as many messages in interaction as the platform lets them have."""


class Bot:
    """The bot, its courier and what it gave out; `base_url` is where this program is reached."""

    def __init__(self, config: BotConfig, ledger: Ledger, media: Media) -> None:
        self.limits = config.limits
        self.base_url = ""
        self.envelope = Envelope(Secrets(config.token, config.encoding_aes_key, ""))
        self.active = ActiveReplies(ledger, config.limits)
        self.streams = Streams(ledger, config.limits)
        self.courier = BotCourier(
            self.envelope,
            config.limits,
            ledger,
            config.fresh,
            streams=self.streams,
            chances=config.chances,
            released=self._release,
        )
        self._config = config
        self._media = media
        self._ledger = ledger
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._messages: dict[str, BotMessage] = {}
        self._in_interaction: dict[str, set[str]] = {}

    def write(self, written: Written, copies: int = 1) -> str:
        """A person sends a message; its msgid. Raises `InInteraction` and `Busy`."""
        if written.kind in WITH_MEDIA and not written.media:
            written = replace(written, media=self._address(WITH_MEDIA[written.kind]))
        message = written_message(
            written,
            number=next(self._numbers),
            bot_id=self._config.bot_id,
            name=self._config.name,
            response_url=self.base_url + self.active.issue(written.user, written.chat),
        )
        self._enter(message)
        said = written.text or f"[{written.kind}]"
        self._ledger.show(
            written.user, "user", said, msg_id=message.id, chat=written.chat, surface="bot"
        )
        return self._send(message, copies)

    def happen(self, user: str, event: str, data: Mapping[str, Any]) -> str:
        """An event of a person; its msgid. Raises `Busy`."""
        message = event_message(
            event,
            data,
            number=next(self._numbers),
            bot_id=self._config.bot_id,
            user=user,
            flat=self._config.flat_events,
        )
        return self._send(message, 1)

    def press(self, msg_id: str, kind: int, content: str, reasons: list[int]) -> str | None:
        """A thumb under the answer to a message; None where the answer has no feedback id. Raises `Busy`."""
        reply, message = self.courier.first_reply(msg_id), self._messages.get(msg_id)
        if reply is None or message is None or not reply.feedback:
            return None
        data = {"id": reply.feedback, "type": kind}
        if kind == THUMB_DOWN:
            data |= {"content": content, "inaccurate_reason_list": reasons}
        return self.happen(message.user, "feedback_event", data)

    def message(self, msg_id: str) -> BotMessage | None:
        """A message that was written, as long as it is remembered."""
        return self._messages.get(msg_id)

    def replay(self, msg_id: str, copies: int) -> bool:
        """Deliver a message again, however it ended; False where it is not known. Raises `Busy`."""
        message = self._messages.get(msg_id)
        if message is not None:
            self.courier.send(message, copies)
        return message is not None

    def _address(self, kind: str) -> str:
        """Where a sample lies, encrypted with the bot's key."""
        media_id = self._media.add(kind, "", PICTURE)
        return self.base_url + self._media.seal(media_id, self.envelope.secrets.key)

    def _send(self, message: BotMessage, copies: int) -> str:
        with self._lock:
            self._messages[message.id] = message
            if len(self._messages) > MESSAGES:
                del self._messages[next(iter(self._messages))]
        self.courier.send(message, copies)
        return message.id

    def _enter(self, message: BotMessage) -> None:
        with self._lock:
            mine = self._in_interaction.setdefault(message.user, set())
            if len(mine) >= self.limits.in_interaction:
                self._ledger.count("interaction_full")
                raise InInteraction
            mine.add(message.id)

    def _release(self, message: BotMessage) -> None:
        with self._lock:
            mine = self._in_interaction.get(message.user, set())
            mine.discard(message.id)
            if not mine:
                self._in_interaction.pop(message.user, None)
