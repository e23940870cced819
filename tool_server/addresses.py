"""Which addresses may be connected to: what somebody else names must not reach our own network; for both sides."""

import ipaddress
import socket

import httpx


def resolve(host: str, port: int) -> str:
    """The first address of a name; resolve once, check it, and connect to exactly this one. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


def is_public(address: str) -> bool:
    """Whether an address lies outside of every private, loopback, link-local or reserved range."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or found
    return inner.is_global and not inner.is_multicast


def port_of(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def pinned(
    client: httpx.Client, url: httpx.URL, address: str, headers: dict[str, str]
) -> httpx.Request:
    """A GET of the one address that was checked; certificate and Host are still the name's."""
    return client.build_request(
        "GET",
        url.copy_with(host=address),
        headers={**headers, "Host": url.netloc.decode()},
        extensions={"sni_hostname": url.host},
    )
