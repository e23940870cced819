"""The surface "WeCom self-built app": how its callbacks are sealed and which replies the platform shows.

Another surface is another file like this one (see `deliver.Surface`), with limits and API routes of its own.
"""

import hmac
import secrets as randomness
import time
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from playground.wechat.crypto import BadEnvelope, Secrets, decrypt, encrypt, signature
from playground.wechat.message import Message
from playground.wechat.wire import Request

# Events that may be answered with a passive text (90238, 90241).
ANSWERED_EVENTS = ("subscribe", "enter_agent", "LOCATION", "click", "view")


@dataclass(frozen=True)
class WeComApp:
    """One app: its callback secrets (the receive id is the corp id) and its number."""

    secrets: Secrets
    agent_id: int

    def check(self, echo: str) -> Request:
        """The address check: a GET whose answer must be `echo`."""
        encrypted = encrypt(self.secrets, echo)
        return Request({**self.signed(encrypted), "echostr": encrypted})

    def callback(self, message: Message) -> Request:
        """A delivery; timestamp, nonce and ciphertext are new in each."""
        return self.seal(self.xml(message))

    def seal(self, xml: str, *, secrets: Secrets | None = None, at: float | None = None) -> Request:
        """Any inner text as a callback, with another's secrets or time if an attacker says so."""
        encrypted = encrypt(secrets or self.secrets, xml)
        return Request(self.signed(encrypted, at), self.envelope(encrypted))

    def xml(self, message: Message) -> str:
        receiver = {"ToUserName": self.secrets.receive_id, "AgentID": str(self.agent_id)}
        return build({**receiver, **message.fields()})

    def envelope(self, encrypted: str) -> bytes:
        receiver = {"ToUserName": self.secrets.receive_id, "AgentID": str(self.agent_id)}
        return build({**receiver, "Encrypt": encrypted}).encode()

    def signed(self, encrypted: str, at: float | None = None) -> dict[str, str]:
        timestamp, nonce = str(int(at or time.time())), randomness.token_hex(6)
        return {
            "msg_signature": signature(self.secrets, timestamp, nonce, encrypted),
            "timestamp": timestamp,
            "nonce": nonce,
        }

    def reply(self, message: Message, body: bytes) -> str:
        """The text of a passive reply. Raises `BadEnvelope` for all that the platform does not show."""
        if message.is_event and message.kind not in ANSWERED_EVENTS:
            raise BadEnvelope("this event takes no reply")
        inner = _fields(self._open(_fields(body)).encode())
        if inner.get("ToUserName") != message.user:
            raise BadEnvelope("not to the sender")
        if inner.get("FromUserName") != self.secrets.receive_id:
            raise BadEnvelope("not from this corp")
        if inner.get("MsgType") != "text" or not inner.get("CreateTime", "").isdigit():
            raise BadEnvelope("not a text with its time")
        return inner.get("Content", "")

    def _open(self, outer: dict[str, str]) -> str:
        try:
            encrypted, given = outer["Encrypt"], outer["MsgSignature"]
            wanted = signature(self.secrets, outer["TimeStamp"], outer["Nonce"], encrypted)
        except KeyError as error:
            raise BadEnvelope(f"no {error}") from None
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            raise BadEnvelope("signature")
        return decrypt(self.secrets, encrypted)


def build(fields: dict[str, str]) -> str:
    """A flat `<xml>` of text elements; characters that XML cannot hold are left out."""
    root = ET.Element("xml")
    for name, value in fields.items():
        ET.SubElement(root, name).text = "".join(c for c in value if c >= " " or c in "\n\t")
    return ET.tostring(root, encoding="unicode")


def _fields(body: bytes) -> dict[str, str]:
    try:
        root = fromstring(body)
    except (ET.ParseError, DefusedXmlException, ValueError):
        raise BadEnvelope("not XML") from None
    if root.tag != "xml":
        raise BadEnvelope("not an <xml> element")
    return {child.tag: child.text or "" for child in root}
