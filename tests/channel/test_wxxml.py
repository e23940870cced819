"""XML of callbacks and replies: what is refused, and what any text becomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_server.channel import wxxml


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
    ],
)
def test_a_body_that_the_platform_never_sends_is_refused(body: bytes) -> None:
    with pytest.raises(wxxml.XmlError):
        wxxml.parse(body)


def test_control_characters_and_lone_surrogates_are_dropped() -> None:
    assert wxxml.clean("a\x00b\ud800c\r\nd\te") == "abc\nd\te"
