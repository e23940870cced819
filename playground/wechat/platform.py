"""Everything of one app on the platform, for the routes and for the phone: who writes, who sees, who attacks."""

import itertools
import threading
import time

from playground.wechat.api import Api
from playground.wechat.attack import Met, attack
from playground.wechat.bot.bot import Bot
from playground.wechat.bot_socket.server import SocketServer
from playground.wechat.deliver import Courier
from playground.wechat.gate import Gate
from playground.wechat.kf.service import Service
from playground.wechat.ledger import Ledger
from playground.wechat.limits import MESSAGES
from playground.wechat.media import Media
from playground.wechat.message import Message, new_message
from playground.wechat.oauth import OAuth
from playground.wechat.org import Org
from playground.wechat.wecom_app import WeComApp


class Platform:
    """The app, its API, its courier and its ledger."""

    def __init__(
        self,
        app: WeComApp,
        api: Api,
        courier: Courier,
        ledger: Ledger,
        media: Media,
        org: Org,
        gate: Gate,
        oauth: OAuth,
        bot: Bot | None = None,
    ) -> None:
        self.api = api
        self.courier = courier
        self.ledger = ledger
        self.media = media
        self.org = org
        self.gate = gate
        self.oauth = oauth
        self.bot = bot
        self.kf: Service | None = None
        self.bot_socket: SocketServer | None = None
        self._app = app
        self._numbers = itertools.count(int(time.time() * 1000))
        self._lock = threading.Lock()
        self._messages: dict[str, Message] = {}

    def write(
        self,
        user: str,
        text: str,
        kind: str = "text",
        copies: int = 1,
        more: tuple[tuple[str, str], ...] = (),
    ) -> str:
        """A person sends a message; its id. Delivery goes on in the background. Raises `Busy`.

        `more` are inner fields that are other than the usual ones of the kind.
        """
        message = new_message(next(self._numbers), user, kind, text, more)
        with self._lock:
            self._messages[message.id] = message
            if len(self._messages) > MESSAGES:
                del self._messages[next(iter(self._messages))]
        if not message.is_event:
            said = text if kind == "text" else f"[{kind}]"
            self.ledger.show(user, "user", said, msg_id=message.id)
        self.courier.send(message, copies)
        return message.id

    def press(self, user: str, task: str, key: str) -> str:
        """A person presses a card's button; the event's id. Raises `Busy`, and `KeyError` for a button that is not."""
        fields = self.api.contents.cards.press(user, task, key)
        return self.write(user, "", "template_card_event", more=fields)

    def message(self, msg_id: str) -> Message | None:
        """A message that was written, as long as it is remembered."""
        return self._messages.get(msg_id)

    def replay(self, msg_id: str, copies: int) -> bool:
        """Deliver a message again, however it ended; False where it is not known. Raises `Busy`."""
        message = self._messages.get(msg_id)
        if message is not None:
            self.courier.send(message, copies)
        return message is not None

    def attack(self, kind: str) -> Met:
        """One forgery to the callback URL. Raises `KeyError` for an unknown kind."""
        message = new_message(next(self._numbers), "attacker", "text", "/clear")
        return attack(self._app, self.courier.callback_url, kind, message)
