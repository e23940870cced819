"""The connection to Elasticsearch: who we are, whom we trust, how long we wait, what a failure is called.

For `elastic`, its writer, and `foreign`. Each fault becomes one sentence (`Unavailable`); the log has the details.
Verification of certificates cannot be switched off.
"""

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from elastic_transport import ConnectionError as NoConnection
from elastic_transport import ConnectionTimeout, TlsError, TransportError
from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    Elasticsearch,
    NotFoundError,
    UnsupportedProductError,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tool_server.errors import Unavailable
from tool_server.knowledge.index.circuit import PAUSE_S, Circuit
from tool_server.settings import Settings, SettingsError

log = structlog.get_logger()

MAJORS = (8, 9)  # servers that the client speaks with
OVERLOADED = (429, 502, 503, 504)
PREFIX = "SHENQIAO_KNOWLEDGE_ELASTICSEARCH"


class Connection:
    """One cluster, for all threads of this process; a child that was forked makes a client of its own."""

    def __init__(
        self, settings: Settings, *, api_key: str = "", registry: CollectorRegistry | None = None
    ) -> None:
        self._options = options(settings, api_key)
        self._timeout_s = settings.knowledge_elasticsearch_timeout_s
        self._bulk_timeout_s = settings.knowledge_elasticsearch_bulk_timeout_s
        self._client: tuple[int, Elasticsearch] | None = None
        self._lock = threading.Lock()
        self._version_known = False
        self.circuit = Circuit("elasticsearch")
        self._metrics = None if registry is None else _Metrics(registry, self.circuit)

    def ask[T](self, name: str, call: Callable[[Elasticsearch], T]) -> T:
        """Make a call that a search waits for. Raises `Unavailable`, at once while the circuit is open.

        A 404 raises elasticsearch's own `NotFoundError`: only the caller knows what is missing.
        """
        if not self.circuit.admits():
            raise Unavailable(
                "Elasticsearch failed several times; it is tried again in a moment.",
                retry_after=int(PAUSE_S),
            )
        started = time.monotonic()
        result = "failed"
        try:
            self._check_version()
            answer = call(self.client())
            result = "answered"
        except (ApiError, TransportError) as error:
            if is_missing(error):
                result = "missing"
                self.circuit.succeeded()
                raise
            self._note(error)
            raise unavailable(error) from error
        finally:
            if self._metrics is not None:
                self._metrics.observe(name, result, time.monotonic() - started)
        self.circuit.succeeded()
        return answer

    def client(self) -> Elasticsearch:
        """This process's client, with the time limit of a search."""
        with self._lock:
            if self._client is None or self._client[0] != os.getpid():
                # It writes a stack trace with the host for each retry; what failed is logged here, once.
                logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
                self._client = (
                    os.getpid(),
                    Elasticsearch(**self._options, request_timeout=self._timeout_s, max_retries=1),
                )
            return self._client[1]

    def writing(self) -> Elasticsearch:
        """The same with the time and the patience of a writer."""
        self._check_version()
        return self.client().options(
            request_timeout=self._bulk_timeout_s, max_retries=3, retry_on_timeout=True
        )

    def close(self) -> None:
        with self._lock:
            if self._client is not None and self._client[0] == os.getpid():
                self._client[1].close()
            self._client = None

    def _check_version(self) -> None:
        """Once: a server that the client does not speak with is refused in plain words, not with its own error."""
        if self._version_known:
            return
        try:
            nodes = self.client().nodes.info(filter_path="nodes.*.version")["nodes"]
        except (AuthorizationException, NotFoundError):  # a key that may only read is not told
            nodes = {}
        for node in nodes.values():
            version = str(node.get("version", ""))
            if int(version.partition(".")[0] or 0) not in MAJORS:
                raise Unavailable(
                    f"Elasticsearch has the version {version[:20]}; it must be 8 or 9."
                )
        self._version_known = True

    def _note(self, error: ApiError | TransportError) -> None:
        """In the log, and in the circuit where it says that the cluster is unwell rather than that it refuses us."""
        status = error.status_code if isinstance(error, ApiError) else None
        log.error("elasticsearch.failed", kind=type(error).__name__, status=status)
        if status is None or status in OVERLOADED:
            self.circuit.failed()
        else:
            self.circuit.succeeded()


def options(settings: Settings, api_key: str = "") -> dict[str, Any]:
    """What the client is made with. Raises `SettingsError` naming the setting that is missing or does not fit."""
    urls = [url.strip() for url in settings.knowledge_elasticsearch_urls.split(",") if url.strip()]
    if not urls:
        raise SettingsError(f"{PREFIX}_URLS is empty; Elasticsearch needs at least one URL.")
    secure = [_is_https(url) for url in urls]
    found: dict[str, Any] = {
        "hosts": urls,
        "connections_per_node": settings.web_threads,
        **_identity(settings, api_key),
    }
    if any(secure):
        found |= _trust(settings)
    return found


def is_missing(error: Exception) -> bool:
    """Whether index, alias or document do not exist."""
    return isinstance(error, ApiError) and error.status_code == 404


def unavailable(error: ApiError | TransportError) -> Unavailable:
    """The sentence for people; hosts, paths and Elasticsearch's own words stay in the log."""
    return Unavailable(_sentence(error), retry_after=5)


def _sentence(error: ApiError | TransportError) -> str:
    if isinstance(error, TlsError):
        return (
            "Elasticsearch's certificate is not the one that is expected:"
            f" check {PREFIX}_CA_FILE or {PREFIX}_FINGERPRINT."
        )
    if isinstance(error, ConnectionTimeout):
        return "Elasticsearch did not answer in time."
    if isinstance(error, NoConnection):
        return "Elasticsearch cannot be reached."
    if isinstance(error, AuthenticationException):
        return "Elasticsearch refuses our key or password (401)."
    if isinstance(error, AuthorizationException):
        return (
            "Our key for Elasticsearch has not the right for this, or the index is missing (403)."
        )
    if isinstance(error, UnsupportedProductError):
        return "What answers is not Elasticsearch 8 or 9."
    status = error.status_code if isinstance(error, ApiError) else None
    if status in OVERLOADED:
        return f"Elasticsearch is overloaded or starting ({status})."
    return f"Elasticsearch refused a call ({status or 'no answer'}); the log says which."


def _is_https(url: str) -> bool:
    """Raises `SettingsError` where it is no URL of a node, or carries a password."""
    scheme, _, host = url.partition("://")
    if scheme not in ("http", "https") or not host or "@" in host:
        raise SettingsError(
            f"{PREFIX}_URLS: write each as https://host:9200, without a user in it."
        )
    return scheme == "https"


def _identity(settings: Settings, api_key: str) -> Mapping[str, Any]:
    key = api_key or settings.knowledge_elasticsearch_api_key.get_secret_value()
    user = settings.knowledge_elasticsearch_user
    password = settings.knowledge_elasticsearch_password.get_secret_value()
    if bool(user) != bool(password):
        raise SettingsError(f"{PREFIX}_USER and {PREFIX}_PASSWORD go together; one is missing.")
    if key and user and not api_key:
        raise SettingsError(f"{PREFIX}_API_KEY and {PREFIX}_USER: set one of the two.")
    if key:
        return {"api_key": key}
    return {"basic_auth": (user, password)} if user else {}


def _trust(settings: Settings) -> Mapping[str, Any]:
    ca_file = settings.knowledge_elasticsearch_ca_file
    fingerprint = settings.knowledge_elasticsearch_fingerprint
    if ca_file != Path() and fingerprint:
        raise SettingsError(f"{PREFIX}_CA_FILE and {PREFIX}_FINGERPRINT: set one of the two.")
    if fingerprint:
        return {"ssl_assert_fingerprint": fingerprint}
    if ca_file == Path():
        return {}
    if not ca_file.is_file():
        raise SettingsError(f"{PREFIX}_CA_FILE: there is no file {str(ca_file)!r}.")
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except ssl.SSLError:
        raise SettingsError(f"{PREFIX}_CA_FILE: {str(ca_file)!r} holds no certificate.") from None
    return {"ca_certs": str(ca_file)}


class _Metrics:
    def __init__(self, registry: CollectorRegistry, circuit: Circuit) -> None:
        self._seconds = Histogram(
            "shenqiao_elasticsearch_seconds",
            "Time of one call of Elasticsearch.",
            ["call"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
            registry=registry,
        )
        self._calls = Counter(
            "shenqiao_elasticsearch_calls_total",
            "Calls of Elasticsearch by what came of them: answered, missing, failed.",
            ["call", "result"],
            registry=registry,
        )
        is_open = Gauge(
            "shenqiao_elasticsearch_circuit_open",
            "1 while Elasticsearch is left alone after several failures.",
            registry=registry,
        )
        is_open.set_function(lambda: float(circuit.open))

    def observe(self, call: str, result: str, seconds: float) -> None:
        self._seconds.labels(call).observe(seconds)
        self._calls.labels(call, result).inc()
