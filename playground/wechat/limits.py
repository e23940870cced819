"""Every number of the platform that matters here, in one table, with the page of its documentation.

Pages are those of developer.work.weixin.qq.com/document/path/N. What the documentation leaves open is a setting.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The WeCom self-built app."""

    callback_s: float = 5.0  # 90238: no answer in this time, and the connection is cut
    check_s: float = 1.0  # 90238: the address check
    deliveries: int = 3  # 90238: "three retries in total" may mean 3 or 4
    gap_s: float = 1.0  # not documented
    text_bytes: int = 2048  # 90236: the rest is cut without a word
    token_s: int = 7200  # 91039
    wrong_secrets: int = 10  # 91039: many wrong ones, and the caller's address is banned
    duplicate_s: int = 1800  # 90236: the default of duplicate_check_interval
    longest_duplicate_s: int = 14400  # 90236
    per_minute: int = 30  # 90236: to one member; more are dropped without a word
    per_hour: int = 1000  # 90236


def cut(text: str, limit: int) -> str:
    """The text as it is shown: at most `limit` bytes, whole characters."""
    return text.encode()[:limit].decode(errors="ignore")
