"""An endpoint's form, read: which tool server, which account; used by all that the endpoints do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
DEFAULT_URL = "http://127.0.0.1:8000"
QUOTES = "\"'`“”‘’"


@dataclass(frozen=True)
class Door:
    """The form; `account` is empty where what was entered cannot be one."""

    url: str
    account: str

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Door:
        url = str(settings.get("server_url") or DEFAULT_URL).strip().rstrip("/")
        account = str(settings.get("account") or "")
        return cls(url, account if ACCOUNT.fullmatch(account) else "")


def mistake(settings: Mapping[str, Any]) -> str:
    """The name of what is plainly wrong in the form (see `status_words`), or ""."""
    url = str(settings.get("server_url") or DEFAULT_URL).strip()
    account = str(settings.get("account") or "")
    if any(letter in url for letter in QUOTES):
        return "url_quotes"
    if not _is_address(url):
        return "url_shape"
    if not account.strip():
        return "account_empty"
    return "" if ACCOUNT.fullmatch(account) else "account_shape"


def has_path(settings: Mapping[str, Any]) -> bool:
    """Whether the URL goes on after host and port: right only behind a proxy that wants it."""
    url = str(settings.get("server_url") or "").strip()
    return urlsplit(url).path.strip("/") != ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
