"""Fetching a file from an address that somebody else named: guarded, bounded, never our own network by accident.

Only https, but for hosts that the settings name. The name is resolved once, its address is checked, and that one is
connected to; each redirect anew. Used by `inbound` for what people send and for the files of an answer.
"""

import time
from collections.abc import Collection
from contextlib import closing

import httpx

from tool_server.addresses import is_public, pinned, port_of, resolve

REDIRECTS = 3
CONNECT_S = 5.0
CHUNK_BYTES = 64 * 1024
URL_LIMIT = 4096


class DownloadError(Exception):
    """The file cannot be had; the text is for the log and names no address. `retry` where a later try may help."""

    def __init__(self, reason: str, *, retry: bool = False, too_large: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry
        self.too_large = too_large


class Downloader:
    """One HTTP client. `trusted` are hosts (with their port, where one stands in their addresses) of this installation:
    they may be private and speak plain http."""

    def __init__(self, *, timeout_s: float, trusted: Collection[str] = ()) -> None:
        self._timeout_s = timeout_s
        self._trusted = frozenset(host.lower() for host in trusted if host)
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        self._http = httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False)

    def get(self, address: str, *, limit: int, trusted: Collection[str] = ()) -> bytes:
        """The bytes there, at most `limit`. `trusted` adds hosts for this call. Raises `DownloadError`."""
        deadline = time.monotonic() + self._timeout_s
        allowed = self._trusted | frozenset(trusted)
        try:
            return self._follow(address, limit, allowed, deadline)
        except httpx.HTTPError as error:
            raise DownloadError(type(error).__name__, retry=True) from None

    def close(self) -> None:
        self._http.close()

    def _follow(self, address: str, limit: int, allowed: frozenset[str], deadline: float) -> bytes:
        for _ in range(REDIRECTS + 1):
            url = _checked(address, allowed)
            request = pinned(
                self._http, url, _address(url, allowed), {"Accept-Encoding": "identity"}
            )
            with closing(self._http.send(request, stream=True)) as response:
                if response.is_redirect and response.has_redirect_location:
                    address = str(url.join(response.headers["Location"]))
                    continue
                return _read(response, limit, deadline)
        raise DownloadError(f"it leads on more than {REDIRECTS} times")


def _checked(address: str, allowed: frozenset[str]) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise DownloadError("no address") from None
    if len(address) > URL_LIMIT or not url.host or url.userinfo:
        raise DownloadError("no good address")
    if url.scheme != "https" and not (url.scheme == "http" and _is_ours(url, allowed)):
        raise DownloadError("its address is not https")
    return url


def _address(url: httpx.URL, allowed: frozenset[str]) -> str:
    """The one address that will be connected to; a second look-up of the name might give another."""
    try:
        address = resolve(url.host, port_of(url))
    except OSError:
        raise DownloadError("its host is not known", retry=True) from None
    if not is_public(address) and not _is_ours(url, allowed):
        raise DownloadError("its host has a private address")
    return address


def _is_ours(url: httpx.URL, allowed: frozenset[str]) -> bool:
    return url.netloc.decode().lower() in allowed


def _read(response: httpx.Response, limit: int, deadline: float) -> bytes:
    status = response.status_code
    if status != httpx.codes.OK:
        raise DownloadError(f"its server answers {status}", retry=status >= 500)
    parts: list[bytes] = []
    size = 0
    for chunk in response.iter_bytes(CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise DownloadError(f"it has more than {limit} bytes", too_large=True)
        if time.monotonic() > deadline:
            raise DownloadError("it did not come in time", retry=True)
        parts.append(chunk)
    return b"".join(parts)
