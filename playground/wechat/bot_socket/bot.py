"""One bot and its connection: who holds it, what people write, which frames come; fed by `server`."""

import base64
import itertools
import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from playground.wechat.bot.message import BotMessage, Written, event_message, written_message
from playground.wechat.bot_socket import codes
from playground.wechat.bot_socket.callbacks import EVENT, MESSAGE, Callback, Callbacks
from playground.wechat.bot_socket.commands import Commands
from playground.wechat.bot_socket.quota import Quota
from playground.wechat.config import BotSocketConfig
from playground.wechat.faults import Fault, Script
from playground.wechat.ledger import Call, Ledger
from playground.wechat.media import Media, new_key

SUBSCRIBE = "aibot_subscribe"
KICKED = "disconnected_event"
WITH_MEDIA = ("image", "mixed", "file", "video")
# A finished stream's frame is scripted by this name, or by the command's with all others.
FINISH = "finish:"
COUNTS = (
    *("opened", "subscribed", "kicked", "refused", "most_open", "silent", "unreadable"),
    *("delivered", "redelivered", "undelivered", "acks_lost", "after_kick"),
)


class BotSocket:
    """The bot on the platform. For all threads; `base_url` is where media addresses lead."""

    def __init__(self, config: BotSocketConfig, ledger: Ledger, media: Media) -> None:
        self.config = config
        self.base_url = ""
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self.faults = Script()
        self._ledger = ledger
        self._media = media
        self._callbacks = Callbacks()
        self._commands = Commands(config, ledger, media, self._callbacks)
        self._subscriptions = Quota(config.limits.subscribes_per_minute, 3600)
        self._chance = random.Random(config.seed)
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._open: set[ServerConnection] = set()
        self._holder: ServerConnection | None = None
        self._due: list[Callback] = []  # for the holder, once it knows that it is one

    # -- people -------------------------------------------------------------------------------

    def write(self, written: Written, data: bytes = b"", copies: int = 1) -> str:
        """A person sends a message, perhaps with `data`; its msgid."""
        message = written_message(
            written,
            number=next(self._numbers),
            bot_id=self.config.bot_id,
            name=self.config.name,
            response_url="",
        )
        del message.body["response_url"]
        if written.kind in WITH_MEDIA and not written.media:
            self._attach(message, data)
        said = written.text or f"[{written.kind}]"
        self._ledger.show(written.user, "user", said, msg_id=message.id, chat=written.chat)
        self._send(message, MESSAGE, copies)
        return message.id

    def happen(self, user: str, event: str, data: Mapping[str, Any]) -> str:
        """An event of a person; its msgid."""
        message = event_message(
            event,
            data,
            number=next(self._numbers),
            bot_id=self.config.bot_id,
            user=user,
            flat=False,
        )
        self._send(message, EVENT, 1)
        return message.id

    def seen(self, user: str) -> list[dict[str, Any]]:
        """What a person, or a group, was shown."""
        return self._ledger.seen(user)

    @property
    def cards(self) -> Mapping[str, str]:
        """How cards look that were changed, by task."""
        return self._commands.cards

    def calls(self, cmd: str) -> list[dict[str, Any]]:
        """The frames of one command, with the code that each got."""
        return [call for call in self._ledger.calls() if call["path"] == cmd]

    def seen_counts(self) -> dict[str, int]:
        """Counts of what was shown and refused."""
        return dict(self._ledger.counts)

    def _attach(self, message: BotMessage, data: bytes) -> None:
        """An encrypted address with a key of its own."""
        key = new_key()
        kind = "image" if message.kind == "mixed" else message.kind
        media_id = self._media.add(kind, f"{message.number}", data)
        address = self.base_url + self._media.seal(media_id, key)
        part = {"url": address, "aeskey": base64.b64encode(key).decode()}
        if message.kind == "mixed":
            message.body["mixed"]["msg_item"][1]["image"] = part
        else:
            message.body[message.kind] = part

    def _send(self, message: BotMessage, cmd: str, copies: int) -> None:
        callback = Callback(f"cb-{secrets.token_hex(12)}", message, cmd)
        with self._lock:
            self._callbacks.add(callback)
            if self._holder is None and not self.config.keep_while_away:
                self.counts["undelivered"] += 1
                self._callbacks.drop(callback)
                return
            for _ in range(copies if self._holder is not None else 0):
                self._deliver(callback)

    def _deliver(self, callback: Callback) -> None:
        """To the connection that holds the bot."""
        if callback.delivered:
            self.counts["redelivered"] += 1
            if self.config.fresh_req_id:
                callback.req_id = f"cb-{secrets.token_hex(12)}"
                self._callbacks.add(callback)
        callback.delivered += 1
        self.counts["delivered"] += 1
        if self._holder is not None:
            _write(self._holder, callback.frame())

    # -- connections --------------------------------------------------------------------------

    def opened(self, socket: ServerConnection) -> None:
        with self._lock:
            self._open.add(socket)
            self.counts["opened"] += 1
            self.counts["most_open"] = max(self.counts["most_open"], len(self._open))

    def closed(self, socket: ServerConnection) -> None:
        with self._lock:
            self._open.discard(socket)
            if self._holder is socket:
                self._holder = None

    def connections(self) -> tuple[int, int]:
        """How many are open now, and how many of them are subscribed."""
        with self._lock:
            return len(self._open), int(self._holder is not None)

    def cut(self) -> int:
        """End every connection without a word; how many there were."""
        with self._lock:
            open_now = list(self._open)
        for socket in open_now:
            _cut(socket)
        return len(open_now)

    # -- frames -------------------------------------------------------------------------------

    def take(self, socket: ServerConnection, text: str | bytes) -> bool:
        """One frame of a connection; whether it was a ping."""
        frame = _object(text)
        cmd, body, headers = frame.get("cmd"), frame.get("body") or {}, frame.get("headers")
        req_id = headers.get("req_id") if isinstance(headers, dict) else None
        if not isinstance(cmd, str) or not isinstance(req_id, str) or not isinstance(body, dict):
            self.counts["unreadable"] += 1
            return False
        self._meet(socket, cmd, req_id, body)
        return cmd == "ping"

    def _meet(
        self, socket: ServerConnection, cmd: str, req_id: str, body: Mapping[str, Any]
    ) -> None:
        """Do what the frame asks, or what the fault that is scripted for it makes of it."""
        started_at, started = time.time(), time.monotonic()
        fault = self.faults.next(_name(cmd, body))
        kind = fault.fault if fault else ""
        if kind == "reset_before":
            _cut(socket)
            return
        if fault is not None and kind == "slow_before":
            time.sleep(fault.seconds)
        code, answer = self._run(socket, fault, cmd, req_id, body)
        self._ledger.called(
            Call(_name(cmd, body), 200, code, started_at, time.monotonic() - started, kind)
        )
        self._answer(socket, fault, cmd, req_id, code, answer)
        if cmd == SUBSCRIBE and code == codes.OK:
            self._catch_up()

    def _run(
        self,
        socket: ServerConnection,
        fault: Fault | None,
        cmd: str,
        req_id: str,
        body: Mapping[str, Any],
    ) -> tuple[int, dict[str, Any]]:
        if fault is not None and fault.fault == "errcode":
            return fault.code, {}
        if cmd == SUBSCRIBE:
            return self._subscribe(socket, body), {}
        if self._holder is not socket:
            self.counts["after_kick"] += 1
            return codes.NOT_SUBSCRIBED, {}
        return self._commands.run(cmd, req_id, body)

    def _subscribe(self, socket: ServerConnection, body: Mapping[str, Any]) -> int:
        """The one who comes last holds the bot."""
        with self._lock:
            if not self._subscriptions.take("bot"):
                self.counts["refused"] += 1
                return codes.TOO_MANY
            if (body.get("bot_id"), body.get("secret")) != (self.config.bot_id, self.config.secret):
                self.counts["refused"] += 1
                return codes.BAD_SECRET
            before, self._holder = self._holder, socket
            self._due = self._callbacks.unanswered()
            self.counts["subscribed"] += 1
            if before is not None and before is not socket:
                self.counts["kicked"] += 1
                self._kick(before)
            return codes.OK

    def _kick(self, socket: ServerConnection) -> None:
        message = event_message(KICKED, {}, number=0, bot_id=self.config.bot_id, user="", flat=True)
        _write(socket, Callback(f"cb-{secrets.token_hex(12)}", message, EVENT).frame())
        threading.Thread(target=socket.close, daemon=True).start()

    def _catch_up(self) -> None:
        """What waited for a connection, and what the one before did not answer."""
        with self._lock:
            due, self._due = self._due, []
            for callback in due:
                again = self.config.redeliver and not callback.message.is_event
                if again or not callback.delivered:
                    self._deliver(callback)

    def _answer(
        self,
        socket: ServerConnection,
        fault: Fault | None,
        cmd: str,
        req_id: str,
        code: int,
        body: dict[str, Any],
    ) -> None:
        kind = fault.fault if fault else ""
        answered = cmd in ("aibot_respond_msg", "aibot_send_msg")
        lost = answered and self._chance.random() < self.config.lose_acks
        if kind == "lost_ack" or lost:
            self.counts["acks_lost"] += 1
            return
        if kind == "reset_after":
            _cut(socket)
            return
        frame = {"headers": {"req_id": req_id}, "errcode": code, "errmsg": codes.text(code)}
        if body:
            frame["body"] = body
        if fault is not None and kind == "slow_after":
            threading.Timer(fault.seconds, _write, (socket, frame)).start()
            return
        _write(socket, frame)


def _name(cmd: str, body: Mapping[str, Any]) -> str:
    stream = body.get("stream")
    return f"{FINISH}{cmd}" if isinstance(stream, dict) and stream.get("finish") is True else cmd


def _write(socket: ServerConnection, frame: Mapping[str, Any]) -> None:
    with suppress(ConnectionClosed):
        socket.send(json.dumps(frame, ensure_ascii=False))


def _cut(socket: ServerConnection) -> None:
    """No goodbye, as when a machine falls over."""
    with suppress(OSError):
        socket.socket.shutdown(2)


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}
