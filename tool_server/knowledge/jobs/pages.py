"""Pages fetched for ingestion: only from hosts that the settings name, never from a private address by accident.

The name is resolved once, its address is checked, and that address is the one that is connected to; each redirect anew.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote

import httpx

from tool_server.addresses import is_public, pinned, port_of, resolve
from tool_server.errors import BadRequest, Forbidden
from tool_server.knowledge.parse import Unreadable
from tool_server.settings import Settings

DRAFTS = "drafts"
REDIRECTS = 5
READ_S = 15.0
URL_LIMIT = 1000
AGENT = "shenqiao"
SUFFIXES: Mapping[str, str] = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}
# Said of nearly anything by servers that do not know better: the address's own suffix counts then.
VAGUE = ("text/plain", "application/octet-stream", "binary/octet-stream", "")


@dataclass(frozen=True)
class Page:
    """What was fetched, in a file that goes when `fetch` is left."""

    path: Path
    stem: str
    url: str
    etag: str
    modified: str


class Hosts:
    """Which hosts may be asked: `knowledge_url_hosts`."""

    def __init__(self, setting: str) -> None:
        words = [word.strip().lower() for word in setting.split(",") if word.strip()]
        self._named = {word for word in words if "*" not in word}
        self._endings = tuple(word[1:] for word in words if word.startswith("*."))
        self._all = "*" in words

    def allows(self, host: str) -> bool:
        return self._all or host in self._named or host.endswith(self._endings or ("\0",))

    def may_be_private(self, host: str) -> bool:
        """Only a host that is named in full: a pattern cannot open the own network."""
        return host in self._named


def check_url(settings: Settings, text: str) -> str:
    """A page's address without its fragment. Raises `BadRequest`, and `Forbidden` for a host that is not named."""
    url = _parse(text)
    if url is None:
        raise BadRequest(f"urls: {text[:100]!r} is no http(s) address.", param="urls")
    if not Hosts(settings.knowledge_url_hosts).allows(url.host):
        raise Forbidden(
            f"The host {url.host[:100]!r} is not among SHENQIAO_KNOWLEDGE_URL_HOSTS.", param="urls"
        )
    return str(url)


def check_urls(settings: Settings, texts: Sequence[str]) -> list[str]:
    """The addresses, each once. Raises `BadRequest` and `Forbidden`."""
    urls = list(dict.fromkeys(check_url(settings, text) for text in texts))
    if not 0 < len(urls) <= settings.knowledge_urls_limit:
        limit = settings.knowledge_urls_limit
        raise BadRequest(f"urls: from 1 to {limit} addresses.", param="urls")
    return urls


@contextmanager
def fetch(
    settings: Settings, address: str, validators: tuple[str, str] = ("", "")
) -> Iterator[Page | None]:
    """A page's bytes; None where it is as its ETag or Last-Modified says. Raises `Unreadable`."""
    drafts = settings.data_dir / DRAFTS
    drafts.mkdir(exist_ok=True)
    deadline = time.monotonic() + settings.knowledge_url_timeout_s
    with (
        tempfile.TemporaryDirectory(dir=drafts) as folder,
        httpx.Client(timeout=READ_S, trust_env=False, follow_redirects=False) as client,
    ):
        try:
            yield _fetch(client, settings, address, validators, Path(folder), deadline)
        except httpx.TimeoutException:
            raise Unreadable("its server did not answer in time") from None
        except httpx.HTTPError as error:
            raise Unreadable(f"it cannot be fetched: {type(error).__name__}") from None


def _fetch(
    client: httpx.Client,
    settings: Settings,
    address: str,
    validators: tuple[str, str],
    folder: Path,
    deadline: float,
) -> Page | None:
    hosts = Hosts(settings.knowledge_url_hosts)
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    names = ("If-None-Match", "If-Modified-Since")
    headers |= {name: value for name, value in zip(names, validators, strict=True) if value}
    for _ in range(REDIRECTS + 1):
        url = _parse(address)
        if url is None:
            raise Unreadable("it leads to something that is no http(s) address")
        request = _pinned(client, url, hosts, headers)
        with closing(client.send(request, stream=True)) as response:
            if response.is_redirect and response.has_redirect_location:
                address = str(url.join(response.headers["Location"]))
                continue
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return None
            if response.status_code != httpx.codes.OK:
                raise Unreadable(f"its server answers {response.status_code}")
            return _save(response, url, folder, settings.knowledge_file_limit, deadline)
    raise Unreadable(f"it leads on more than {REDIRECTS} times")


def _pinned(
    client: httpx.Client, url: httpx.URL, hosts: Hosts, headers: Mapping[str, str]
) -> httpx.Request:
    """A request to the one address that was checked; certificate and Host are still the name's."""
    if not hosts.allows(url.host):
        raise Unreadable(f"its host {url.host[:100]!r} is not among those that may be asked")
    address = _resolve(url)
    if not is_public(address) and not hosts.may_be_private(url.host):
        raise Unreadable(f"its host {url.host[:100]!r} has a private address")
    return pinned(client, url, address, dict(headers))


def _resolve(url: httpx.URL) -> str:
    try:
        return resolve(url.host, port_of(url))
    except OSError:
        raise Unreadable(f"its host {url.host[:100]!r} is not known") from None


def _save(
    response: httpx.Response, url: httpx.URL, folder: Path, limit: int, deadline: float
) -> Page:
    name = unquote(PurePosixPath(url.path).name)
    path = folder / f"page{_suffix(response.headers.get('Content-Type', ''), name)}"
    with path.open("xb") as file:
        _copy(response, file, limit, deadline)
    etag, modified = (response.headers.get(name, "")[:500] for name in ("ETag", "Last-Modified"))
    return Page(path, PurePosixPath(name).stem or url.host, str(url), etag, modified)


def _copy(response: httpx.Response, file: BinaryIO, limit: int, deadline: float) -> None:
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > limit:
            raise Unreadable(f"it has more than {limit} bytes")
        if time.monotonic() > deadline:
            raise Unreadable("its server did not send it in time")
        file.write(chunk)


def _suffix(content_type: str, name: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    own = PurePosixPath(name).suffix.lower()
    if kind in VAGUE and own.isascii() and own[1:].isalnum():
        return own
    return SUFFIXES.get(kind, own if own[1:].isalnum() else "")


def _parse(text: str) -> httpx.URL | None:
    try:
        url = httpx.URL(text.strip()).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError, TypeError):
        return None
    good = url.scheme in ("http", "https") and url.host and not url.userinfo
    return url if good and len(str(url)) <= URL_LIMIT else None
