"""Which addresses an answer may lead people to: those of its sources, our own, and hosts of the settings; for `markup`.

A model repeats what it was given, and a document may hold a sentence that makes it send people elsewhere. So an address
that is not on the list loses its target, in whatever form it stands.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

URL_LIMIT = 1000
# What phones make a link of by themselves, as it stands in a text. Brackets and quotes end an address.
TAIL = r"[A-Za-z0-9\-._~/?#@!$&+,;=%:]"
SCHEME = r"(?:https?|ftps?|weixin|wxwork)"
BARE = re.compile(rf"{SCHEME}://{TAIL}*", re.IGNORECASE)
ENDINGS = (
    "com|cn|net|org|info|top|xyz|vip|cc|me|co|io|ai|app|dev|site|online|shop|store|club|live|link|click|icu|ru|tk|"
    "hk|tw|us|uk|eu|tv|ly|gl|biz|pro|work|wang|ltd|fun|win|tech|cloud|mobi|asia|gov|edu"
)
NAKED = re.compile(
    rf"(?<![A-Za-z0-9@._/-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,8}}(?:{ENDINGS})(?![A-Za-z0-9-]|\.[A-Za-z0-9])"
    rf"(?::\d{{1,5}})?(?:[/?#]{TAIL}*)?",
    re.IGNORECASE,
)
# Names of things that only look like a host.
NO_HOSTS = frozenset({"asp.net", "ado.net", "vb.net", "ml.net", "socket.io"})
HERE = frozenset({"localhost", "127.0.0.1"})
CLOSING = ".,;:!?~_&"
HOST = re.compile(r"[a-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9a-f:.]{2,45}\](?::\d{1,5})?")


@dataclass(frozen=True)
class Links:
    """The addresses and hosts that one answer may show; `*.example.com` stands for all below it, `*` for all."""

    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, urls: Iterable[str], hosts: Iterable[str]) -> "Links":
        """From addresses and hosts as people write them; what is no address is passed over."""
        known = (canonical(url) for url in urls)
        named = (host.strip().lower() for host in hosts)
        return cls(
            frozenset(url for url in known if url), frozenset(host for host in named if host)
        )

    def target(self, url: str) -> str:
        """The address as it may be shown, or "" where it may not."""
        known = canonical(url)
        if not known or known in self.urls:
            return known
        netloc = urlsplit(known).netloc
        host = netloc.rpartition(":")[0] or netloc
        below = ("*" + host[at:] for at, letter in enumerate(host) if letter == ".")
        return known if self.hosts.intersection((netloc, "*", *below)) else ""

    def scrub(self, text: str, left_out: str) -> str:
        """A text without the addresses that may not be shown; `left_out` stands where they stood."""
        shown = BARE.sub(lambda found: self._bare(found[0], left_out), text)
        return NAKED.sub(lambda found: self._naked(found[0], left_out), shown)

    def _bare(self, found: str, left_out: str) -> str:
        url = found.rstrip(CLOSING)
        host = url.partition("://")[2].partition("/")[0].partition(":")[0].lower()
        if self.target(url) or host in HERE:
            return found
        return left_out + found[len(url) :]

    def _naked(self, found: str, left_out: str) -> str:
        name = found.rstrip(CLOSING)
        if name.lower() in NO_HOSTS or self.target(f"https://{name}"):
            return found
        return left_out + found[len(name) :]


def canonical(url: str) -> str:
    """An http(s) address in one spelling, free of what could end it in any markup; "" for all else."""
    try:
        parts = urlsplit(url.strip())
        netloc = parts.netloc.encode("idna").decode().lower() if parts.netloc else ""
    except (ValueError, UnicodeError):
        return ""
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(netloc):
        return ""
    path = quote(parts.path or "/", safe="/%:@!$&+,;=~-._")
    query = "?" + quote(parts.query, safe="/%:@!$&+,;=~-._?") if parts.query else ""
    fragment = "#" + quote(parts.fragment, safe="/%:@!$&+,;=~-._?") if parts.fragment else ""
    whole = f"{parts.scheme}://{netloc}{path}{query}{fragment}"
    return whole if len(whole) <= URL_LIMIT else ""
