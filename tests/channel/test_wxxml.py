"""XML of callbacks and replies: what is refused, and what any text becomes."""

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.work import parse_message
from wechatpy.work.crypto import WeChatCrypto

from tests.channel.conftest import AES_KEY as KEY
from tool_server.channel import wxxml
from tool_server.channel.split import fit
from tool_server.channel.wxcrypt import WxCrypt

REPLY = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"]


@given(st.text())
def test_a_reply_with_any_text_is_xml_and_holds_the_text(text: str) -> None:
    inner = wxxml.reply(text, to="user", sender="corp", created_at=1)
    fields = wxxml.parse(inner)
    assert fields["Content"] == wxxml.clean(text)
    assert fields["ToUserName"] == "user"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<xml><A>1</A>",
        b"<other><A>1</A></other>",
        b"<xml><A>1</A><A>2</A></xml>",
        b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><A>&a;</A></xml>',
        b"<xml>" + b"<A/>" * 2 + b"</xml>",
        b"<xml>" + b"".join(b"<A%d/>" % n for n in range(600)) + b"</xml>",
        b"\xff\xfe\x00",
        b"<xml>" + b"<a>" * 20000 + b"</a>" * 20000 + b"</xml>",
        b"<xml>" + b"<a>" * 9 + b"</a>" * 9 + b"</xml>",
        b"<xml><A>&nobody;</A></xml>",
        b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x"><xml><A>1</A></xml>',
        b'<?xml version="1.0" encoding="utf-99"?><xml><A>1</A></xml>',
        b"<xml><A>&#0;</A></xml>",
        b"<xml><A>&#xD800;</A></xml>",
        b"<xml><A>1</A></xml><xml/>",
    ],
)
def test_a_body_that_the_platform_never_sends_is_refused(body: bytes) -> None:
    with pytest.raises(wxxml.XmlError):
        wxxml.parse(body)


def test_control_characters_and_lone_surrogates_are_dropped() -> None:
    assert wxxml.clean("a\x00b\ud800c\r\nd\te") == "abc\nd\te"


# What breaks XML that is put together from strings.
NASTY = st.sampled_from(
    ("]]>", "<![CDATA[", "\x00", "\x0b", "\ud800", "\udfff", "\ufffe", "&", "<", "\r")
)
TEXTS = st.lists(st.one_of(NASTY, st.text(max_size=20))).map("".join)


@given(TEXTS)
def test_a_reply_is_the_same_for_other_parsers(text: str) -> None:
    inner = wxxml.reply(text, to="user", sender="corp", created_at=1)
    strict = fromstring(inner)
    assert (strict.findtext("Content") or "") == wxxml.clean(text)
    assert [child.tag for child in strict] == REPLY
    theirs = parse_message(inner)
    assert (theirs.content or "") == wxxml.clean(text).strip()
    assert (theirs.source, theirs.target) == ("corp", "user")


@given(TEXTS)
def test_another_implementation_opens_an_enclosed_reply(text: str) -> None:
    inner = wxxml.reply(text, to="user", sender="corp", created_at=1)
    sealed = WxCrypt("token", KEY, "corp").seal(inner, timestamp="1", nonce="n")
    outer = wxxml.envelope(sealed)
    opened = WeChatCrypto("token", KEY, "corp").decrypt_message(outer, sealed.signature, "1", "n")
    assert opened == inner


@given(TEXTS, st.integers(min_value=0, max_value=60))
def test_a_cut_at_bytes_leaves_whole_characters(text: str, limit: int) -> None:
    cut = fit(wxxml.clean(text), limit)
    assert len(cut.encode()) <= limit
    assert wxxml.clean(text).startswith(cut)
    assert wxxml.parse(wxxml.reply(cut, to="u", sender="c", created_at=1))["Content"] == cut
