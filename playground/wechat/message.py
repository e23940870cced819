"""Messages and events as the platform's XML, and passive replies as the platform reads them."""

import time
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from playground.wechat.crypto import BadEnvelope, Secrets, decrypt, signature

# What each kind carries besides the common fields (90239, 90240).
KINDS: dict[str, dict[str, str]] = {
    "text": {},
    "image": {"PicUrl": "https://example.com/p.jpg", "MediaId": "media-1"},
    "voice": {"MediaId": "media-2", "Format": "amr"},
    "video": {"MediaId": "media-3", "ThumbMediaId": "media-4"},
    "location": {"Location_X": "31.2", "Location_Y": "121.5", "Scale": "16", "Label": "上海"},
    "link": {"Title": "t", "Description": "d", "Url": "https://example.com", "PicUrl": ""},
    "enter_agent": {"Event": "enter_agent", "EventKey": ""},
}
EVENTS = ("enter_agent",)


@dataclass(frozen=True)
class Message:
    """One message of one person."""

    id: str
    user: str
    kind: str
    text: str
    created_at: int

    def xml(self, corp_id: str, agent_id: int) -> str:
        """The inner XML."""
        fields = {
            "ToUserName": corp_id,
            "FromUserName": self.user,
            "CreateTime": str(self.created_at),
            "MsgType": "event" if self.kind in EVENTS else self.kind,
            "AgentID": str(agent_id),
            **KINDS[self.kind],
        }
        if self.kind == "text":
            fields["Content"] = self.text
        if self.kind not in EVENTS:
            fields["MsgId"] = self.id
        return build(fields)


def new_message(number: int, user: str, kind: str, text: str) -> Message:
    """MsgIds are 64-bit numbers."""
    return Message(str(7_000_000_000_000_000_000 + number), user, kind, text, int(time.time()))


def build(fields: dict[str, str]) -> str:
    root = ET.Element("xml")
    for name, value in fields.items():
        ET.SubElement(root, name).text = value
    return ET.tostring(root, encoding="unicode")


def read_reply(secrets: Secrets, body: bytes, message: Message) -> str:
    """The text of a passive reply. Raises `BadEnvelope` for all that the platform does not show."""
    outer = _fields(body)
    try:
        encrypted = outer["Encrypt"]
        wanted = signature(secrets, outer["TimeStamp"], outer["Nonce"], encrypted)
        given = outer["MsgSignature"]
    except KeyError as error:
        raise BadEnvelope(f"no {error}") from None
    if given != wanted:
        raise BadEnvelope("signature")
    inner = _fields(decrypt(secrets, encrypted).encode())
    if inner.get("ToUserName") != message.user or inner.get("MsgType") != "text":
        raise BadEnvelope("not a text to the sender")
    return inner.get("Content", "")


def _fields(body: bytes) -> dict[str, str]:
    try:
        root = ET.fromstring(body)  # noqa: S314  (the product's own answer, in a test program)
    except ET.ParseError:
        raise BadEnvelope("not XML") from None
    return {child.tag: child.text or "" for child in root}
