"""Every number of the platform that matters here, in one table, with the page of its documentation.

Pages are those of developer.work.weixin.qq.com/document/path/N. What the documentation leaves open is a setting.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The WeCom self-built app; each field can be set in the stand-in's configuration."""

    callback_s: float = 5.0  # 90238: no answer in this time, and the connection is cut
    check_s: float = 1.0  # 90238: the address check
    deliveries: int = 3  # 90238: "three retries in total" may mean 3 or 4
    gap_s: float = 1.0  # not documented: from a cut or failure to the next delivery
    text_bytes: int = 2048  # 90236: the rest is cut without a word
    receivers: int = 1000  # 90236: in touser
    token_s: float = 7200  # 91039: the same token inside this time
    wrong_secrets: int = 10  # 91039: "many" wrong ones, and the caller's address is banned
    ban_s: float = 3600  # 91039
    duplicate_s: int = 1800  # 90236: the default of duplicate_check_interval
    longest_duplicate_s: int = 14400  # 90236
    per_minute: int = 30  # 90236: to one member; more are dropped without a word
    per_hour: int = 1000  # 90236
    menu_buttons: int = 3  # menu/create
    menu_sub_buttons: int = 5
    menu_name_bytes: int = 16
    menu_key_bytes: int = 128
    menu_url_bytes: int = 1024


# What this program holds at most; no number of the platform.
ENTRIES = 50_000  # bubbles, deliveries and calls, each
MESSAGES = 20_000  # messages that can be delivered again
IN_FLIGHT = 2_000  # deliveries at once
COPIES = 20  # of one message at once
SCRIPTED = 1_000  # faults that wait for their calls
LONGEST_WAIT_S = 120.0  # somebody who waits for the next bubble


def cut(text: str, limit: int) -> str:
    """The text as it is shown: at most `limit` bytes, whole characters."""
    return text.encode()[:limit].decode(errors="ignore")
