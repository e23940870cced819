"""The upstreams' addresses as an operator writes them; read by the settings."""

from urllib.parse import urlsplit

DEFAULT_PATH = "/v1"


def base_urls(text: str) -> tuple[str, ...]:
    """Base URLs from a comma list, `/v1` added where there is no path. Raises `ValueError`, without the URL's text."""
    urls = tuple(_checked(part.strip()) for part in text.split(",") if part.strip())
    if len(set(urls)) != len(urls):
        raise ValueError("one URL stands there twice")
    return urls


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("each must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password in a URL; SHENQIAO_MODEL_UPSTREAM_KEY is for the key")
    if parts.query or parts.fragment or parts.port == 0 or any(c.isspace() for c in url):
        raise ValueError("only scheme, host, port and path; no ? or # and no blanks")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or DEFAULT_PATH}"


def host(url: str) -> str:
    """Host and port: how logs and metrics name an upstream."""
    return urlsplit(url).netloc


def root(url: str) -> str:
    """The server's address without the API's path."""
    return url.removesuffix(DEFAULT_PATH)
