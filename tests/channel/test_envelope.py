"""Opening callbacks: what is looked at before the signature, and that no part can be moved into another."""

import time
from collections.abc import Callable

import pytest

from tests.channel.conftest import make_account
from tool_server.channel import envelope, wxxml
from tool_server.channel.surface import Callback, Refused
from tool_server.channel.wxcrypt import WxCrypt

ACCOUNT = make_account()
CRYPT: WxCrypt = ACCOUNT.crypt
NOW = 1700000000.0


def callback(
    inner: str = "<xml><A>1</A></xml>", *, timestamp: str = "1700000000", nonce: str = "n"
) -> Callback:
    sealed = CRYPT.seal(inner, timestamp=timestamp, nonce=nonce)
    query = {"msg_signature": sealed.signature, "timestamp": timestamp, "nonce": nonce}
    body = f"<xml><Encrypt>{sealed.encrypt}</Encrypt></xml>".encode()
    return Callback(query, body)


def opened(given: Callback, window_s: int = 300) -> dict[str, str]:
    return dict(envelope.open_xml(ACCOUNT, given, window_s=window_s, now=NOW))


def test_a_right_callback_opens() -> None:
    assert opened(callback()) == {"A": "1"}


@pytest.mark.parametrize("offset", [-301, 301, 86400])
def test_a_time_outside_the_window_is_refused_and_without_a_window_taken(offset: int) -> None:
    given = callback(timestamp=str(int(NOW) + offset))
    with pytest.raises(Refused):
        opened(given)
    assert opened(given, window_s=0) == {"A": "1"}


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1e9", "١٧٠", "²", "1" * 11, " 1700000000"])
def test_a_time_that_is_no_number_is_refused_even_if_it_is_signed(timestamp: str) -> None:
    with pytest.raises(Refused):
        opened(callback(timestamp=timestamp), window_s=0)


@pytest.mark.parametrize("nonce", ["", "n" * 65, "with space", "n\n", "ñ"])
def test_a_nonce_that_the_platform_never_makes_is_refused(nonce: str) -> None:
    with pytest.raises(Refused):
        opened(callback(nonce=nonce))


def test_the_ciphertexts_beginning_cannot_be_moved_into_the_nonce() -> None:
    """64 characters are 48 bytes: whole blocks and whole base64. Where the parts sort so, the signature stays right."""
    given = callback("<xml><A>" + "x" * 400 + "</A></xml>", nonce="!")
    encrypt = wxxml.parse(given.body)["Encrypt"]
    nonce, rest = "!" + encrypt[:64], encrypt[64:]
    signature = CRYPT.sign("1700000000", nonce, rest)
    body = f"<xml><Encrypt>{rest}</Encrypt></xml>".encode()
    with pytest.raises(Refused, match="timestamp or nonce"):
        opened(Callback({**given.query, "nonce": nonce, "msg_signature": signature}, body))


@pytest.mark.parametrize("missing", ["msg_signature", "timestamp", "nonce"])
def test_a_query_that_lacks_a_part_is_refused(missing: str) -> None:
    given = callback()
    query = {name: value for name, value in given.query.items() if name != missing}
    with pytest.raises(Refused):
        opened(Callback(query, given.body), window_s=0)


def test_nothing_inside_is_parsed_before_the_signature_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[object] = []
    real = wxxml.parse

    def spy(body: bytes | str) -> object:
        parsed.append(body)
        return real(body)

    monkeypatch.setattr(wxxml, "parse", spy)
    given = callback()
    with pytest.raises(Refused):
        opened(Callback({**given.query, "msg_signature": "0" * 40}, given.body))
    assert parsed == [given.body]


def test_an_account_that_is_not_there_costs_what_a_wrong_signature_costs() -> None:
    given = callback()
    wrong = Callback({**given.query, "msg_signature": "0" * 40}, given.body)

    def unknown() -> None:
        envelope.refuse_unknown(wrong, window_s=300, now=NOW)

    def seconds(attempt: Callable[[], object]) -> float:
        started = time.thread_time()
        for _ in range(200):
            with pytest.raises(Refused):
                attempt()
        return time.thread_time() - started

    seconds(unknown)  # the first one makes the account that nobody has
    ratios = [seconds(unknown) / seconds(lambda: opened(wrong)) for _ in range(7)]
    assert 0.3 < sorted(ratios)[3] < 3.0  # without the work it is a hundredth
