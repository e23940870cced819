"""The XML of callbacks and passive replies: strict parsing, safe building; called by the WeCom surface."""

import re
import unicodedata
from collections.abc import Mapping
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from tool_server.channel.wxcrypt import Envelope

# A callback has about ten elements; card events a few dozen.
ELEMENTS = 500
DEPTH = 8
# What XML 1.0 cannot hold (a passive reply with one of these shows an error notice to the user).
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class XmlError(Exception):
    """A body that is not the flat XML that the platform sends."""


def parse(body: bytes | str) -> Mapping[str, str]:
    """The texts of the root's direct children by tag; a tag that comes twice is refused. Raises `XmlError`."""
    target = _Fields()
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise XmlError("not XML") from None
    return target.fields


def reply(content: str, *, to: str, sender: str, created_at: int) -> str:
    """The inner XML of a passive text reply."""
    return (
        f"<xml><ToUserName>{cdata(to)}</ToUserName><FromUserName>{cdata(sender)}</FromUserName>"
        f"<CreateTime>{created_at}</CreateTime><MsgType>{cdata('text')}</MsgType>"
        f"<Content>{cdata(content)}</Content></xml>"
    )


def envelope(sealed: Envelope) -> bytes:
    """The outer XML of a passive reply."""
    return (
        f"<xml><Encrypt>{cdata(sealed.encrypt)}</Encrypt>"
        f"<MsgSignature>{cdata(sealed.signature)}</MsgSignature>"
        f"<TimeStamp>{sealed.timestamp}</TimeStamp><Nonce>{cdata(sealed.nonce)}</Nonce></xml>"
    ).encode()


class _Fields:
    """What the parser meets, one event after the other: no tree is built of what may be refused."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._depth = 0
        self._elements = 0
        self._parts: list[str] = []

    def start(self, tag: str, _attributes: object) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH or self._elements > ELEMENTS:
            raise XmlError("too deep, or too many elements")
        if self._depth == 1 and tag != "xml":
            raise XmlError("no <xml> root")
        if self._depth == 2:
            if tag in self.fields:
                raise XmlError("an element twice")
            self.fields[tag] = ""
            self._parts = []

    def end(self, tag: str) -> None:
        if self._depth == 2:
            self.fields[tag] = "".join(self._parts)
        self._depth -= 1

    def data(self, text: str) -> None:
        if self._depth == 2:
            self._parts.append(text)

    def close(self) -> None:
        """The fields are all that is left."""


def cdata(text: str) -> str:
    """A CDATA section that holds any text: `]]>` is split, what XML cannot hold is dropped."""
    return "<![CDATA[" + clean(text).replace("]]>", "]]]]><![CDATA[>") + "]]>"


def clean(text: str) -> str:
    """Text without control characters and lone surrogates; newline and tab stay."""
    return unicodedata.normalize(
        "NFC", FORBIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    )
