"""Customer service as one thing, for `__main__`, the routes and the testers: the section `kf` of the configuration."""

import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from playground.wechat.crypto import Secrets
from playground.wechat.kf.callbacks import Notices, notices
from playground.wechat.kf.desk import Desk, Session
from playground.wechat.kf.limits import KfLimits
from playground.wechat.kf.send import Send
from playground.wechat.kf.sessions import Sessions
from playground.wechat.kf.sync import Sync
from playground.wechat.ledger import Ledger
from playground.wechat.limits import Limits

# What a customer may send besides text; `menu` is a click on an item of a msgmenu.
CONTENTS: dict[str, dict[str, Any]] = {
    "image": {"media_id": "media-1"},
    "voice": {"media_id": "media-2"},
    "video": {"media_id": "media-3"},
    "file": {"media_id": "media-4"},
    "location": {"latitude": 31.2, "longitude": 121.5, "name": "人民广场", "address": "上海市"},
    "link": {"title": "t", "desc": "d", "url": "https://example.com/a", "pic_url": ""},
    "miniprogram": {"title": "m", "appid": "wx1", "pagepath": "p", "thumb_media_id": "media-5"},
}


class KfConfig(BaseModel):
    """Service accounts (id → name), the callback's secrets, who may serve; `limits` as in the table unless said."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    accounts: dict[str, str]
    token: str
    encoding_aes_key: Annotated[str, Field(pattern="^[A-Za-z0-9+/]{43}$")]
    servicers: tuple[str, ...] = ("servicer",)
    limits: KfLimits = KfLimits()


@dataclass(frozen=True)
class Service:
    """The parts, and what a customer does with them."""

    desk: Desk
    sync: Sync
    send: Send
    sessions: Sessions
    notices: Notices

    def write(self, open_kfid: str, user: str, text: str, kind: str, *, age_s: float) -> str:
        """A customer's message; its msgid. Nobody is told yet."""
        if kind == "text":
            content: dict[str, Any] = {"msgtype": "text", "text": {"content": text}}
        elif kind == "menu":
            content = {"msgtype": "text", "text": {"content": text, "menu_id": "m1"}}
        else:
            content = {"msgtype": kind, kind: CONTENTS[kind]}
        return self.desk.write(open_kfid, user, content, age_s=age_s)

    def enter(self, open_kfid: str, user: str) -> str:
        """A customer opens the conversation; the welcome code, empty for one who was here a while ago."""
        with self.desk.lock:
            account = self.desk.accounts[open_kfid]
            session = account.sessions.setdefault(user, Session())
            now, limits = self.desk.clock(), self.desk.limits
            fields: dict[str, Any] = {"external_userid": user, "scene": "web", "scene_param": ""}
            if now - session.last_message_at > limits.welcome_silence_s:
                session.welcome_code = secrets.token_urlsafe(16)
                session.welcome_until = now + limits.welcome_s
                fields["welcome_code"] = session.welcome_code
            self.desk.event(account, "enter_session", **fields)
        return str(fields.get("welcome_code", ""))


def open_service(
    config: KfConfig, corp_id: str, limits: Limits, ledger: Ledger, *, fresh: bool
) -> Service:
    desk = Desk(config.accounts, config.limits, ledger)
    sync = Sync(desk)
    crypt = Secrets(config.token, config.encoding_aes_key, corp_id)
    told = notices(crypt, limits, ledger, sync.tokens, fresh=fresh)
    send = Send(desk, told.tell)
    return Service(desk, sync, send, Sessions(desk, config.servicers), told)
