"""Wrong addresses in both packages' forms: each is refused with a sentence that says what to write instead."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dify_plugin.errors.model import CredentialsValidateFailedError
from dify_plugin.errors.tool import ToolProviderCredentialValidationError
from models.served import check

from dify_plugin.provider.knowledge import KnowledgeProvider
from tests.plugins.raw_server import RawServer

type Save = Callable[[str], str]


def save_tools(url: str) -> str:
    """What stands under the tools' form."""
    with pytest.raises(ToolProviderCredentialValidationError) as caught:
        KnowledgeProvider().validate_credentials({"server_url": url, "api_key": "sq-key"})
    return str(caught.value)


def save_model(url: str) -> str:
    """What stands under the model's form."""
    with pytest.raises(CredentialsValidateFailedError) as caught:
        check({"server_url": url, "api_key": "sq-key"})
    return str(caught.value)


both = pytest.mark.parametrize("save", [save_tools, save_model], ids=["tools", "model"])


@contextmanager
def listening(meet: Callable[[socket.socket], None]) -> Iterator[str]:
    """host:port of a server that meets one connection after the other."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    closed = threading.Event()

    def accept() -> None:
        while not closed.is_set():
            with suppress(OSError):  # nobody came, or the client went away
                connection, _ = listener.accept()
                connection.settimeout(5)
                with connection:
                    meet(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    closed.set()
    thread.join()
    listener.close()


@pytest.fixture
def https(tmp_path: Path) -> Iterator[str]:
    """A server that speaks TLS with a certificate that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))

    def meet(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)

    with listening(meet) as place:
        yield place


@pytest.fixture
def http() -> Iterator[str]:
    """A server that takes a TLS greeting for a bad request."""

    def meet(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with listening(meet) as place:
        yield place


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@both
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "Begin the URL with http"),
        ("shenqiao.example:8000", "Begin the URL with http"),
        ("127.0.0.1:8000", "Begin the URL with http"),
        ("ftp://shenqiao.example", "Begin the URL with http"),
        ("http://", "The URL names no host"),
        ("http://[::1", "The URL names no host"),
        ("http://127.0.0.1:9/knowledge", "Leave out what stands behind the host"),
        ("http://127.0.0.1:9/?a=b", "Leave out what stands behind the host"),
        ("http://127.0.0.1:9", "cannot be reached: check the URL and that it runs"),
        ("http://127.0.0.1:9/", "cannot be reached: check the URL and that it runs"),
    ],
)
def test_an_address_that_cannot_be_one_says_how_to_write_it(
    save: Save, url: str, sentence: str
) -> None:
    assert sentence in save(url)


@both
def test_https_where_http_is_spoken_is_said_so(save: Save, http: str) -> None:
    assert "speaks http and not https" in save(f"https://{http}")


@both
def test_a_certificate_that_nobody_knows_is_said_so(save: Save, https: str) -> None:
    assert "certificate of this https address is not trusted" in save(f"https://{https}")


@both
@pytest.mark.parametrize(
    "page",
    [
        "Client sent an HTTP request to an HTTPS server.",
        "<html><center>The plain HTTP request was sent to HTTPS port</center></html>",
    ],
)
def test_http_where_https_is_spoken_is_said_so(save: Save, server: RawServer, page: str) -> None:
    server.answers(page, status=400)
    assert "speaks https and not http" in save(server.url)


@both
def test_an_alert_of_tls_is_known(save: Save, server: RawServer) -> None:
    server.says = [b"\x15\x03\x01\x00\x02\x02\x46"]
    assert "speaks https and not http" in save(server.url)


@both
def test_a_wrong_key_and_a_server_without_the_feature_are_told_apart(
    save: Save, server: RawServer
) -> None:
    server.answers('{"error": {"message": "This key is not known here."}}', status=401)
    assert "does not know this key" in save(server.url)
    server.answers("<html>nginx", status=404)
    assert "check the URL" in save(server.url)


@both
def test_no_sentence_holds_an_address(save: Save, https: str) -> None:
    for url in ("http://127.0.0.1:9", f"https://{https}", f"http://{https}"):
        assert "127.0.0.1" not in save(url)
