"""The callback `kf_msg_or_event`: it says that there is something, and brings a token; no text of a message."""

import itertools
import time
from dataclasses import dataclass, field

from playground.wechat.crypto import BadEnvelope, Secrets
from playground.wechat.deliver import Courier
from playground.wechat.kf.sync import SyncTokens
from playground.wechat.ledger import Ledger
from playground.wechat.limits import Limits
from playground.wechat.message import Message
from playground.wechat.wecom_app import WeComApp, build
from playground.wechat.wire import Request


@dataclass(frozen=True)
class KfSurface:
    """Sealed like those of a self-built app; the receive id is the corp id."""

    secrets: Secrets

    def check(self, echo: str) -> Request:
        return self._envelopes.check(echo)

    def callback(self, message: Message) -> Request:
        """`message` is a notice: its user is the service account, its text the token."""
        inner = {
            "ToUserName": self.secrets.receive_id,
            "CreateTime": str(message.created_at),
            "MsgType": "event",
            "Event": "kf_msg_or_event",
            "Token": message.text,
            "OpenKfId": message.user,
        }
        return self._envelopes.seal(build(inner))

    def reply(self, _message: Message, _body: bytes) -> str:
        raise BadEnvelope("this event takes no reply")

    @property
    def _envelopes(self) -> WeComApp:
        return WeComApp(self.secrets, 0)


@dataclass
class Notices:
    """Tells the product of a service account; several may be on their way at once."""

    courier: Courier
    tokens: SyncTokens
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def tell(self, open_kfid: str, copies: int = 1) -> None:
        """Raises `deliver.Busy`. Without a callback URL nobody is told."""
        if not self.courier.callback_url:
            return
        token = self.tokens.issue(open_kfid)
        name = f"kf-notice-{next(self._numbers)}"
        self.courier.send(Message(name, open_kfid, "event", token, int(time.time())), copies)


def notices(
    secrets: Secrets, limits: Limits, ledger: Ledger, tokens: SyncTokens, *, fresh: bool
) -> Notices:
    return Notices(Courier(KfSurface(secrets), limits, ledger, fresh), tokens)
