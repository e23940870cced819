"""Every number of customer service, with its page; what the documentation leaves open is a setting as well."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KfLimits:
    """Pages of developer.work.weixin.qq.com: 94670 (messages), 94677 (sending), 94669 (sessions), 95122 (events)."""

    page: int = 1000  # items that one kf/sync_msg gives at most
    token_s: float = 600.0  # a callback's token is good for ten minutes
    keep_s: float = 259200.0  # items of the last three days can be pulled
    bare_per_minute: int = (
        60  # calls without a token; "heavily limited", by how much is not documented
    )
    empty_every: int = 0  # each n-th page is empty although there is more; 0 never
    text_bytes: int = 2048  # not documented; the rest is cut
    reply_s: float = 172800.0  # 48 hours from the customer's last message
    per_message: int = 5  # messages of ours per message of the customer
    quota_adds: bool = False  # whether each message adds to the quota, or fills it up again
    msgid_bytes: int = 32
    menu_text_bytes: int = 1024  # 94677: head_content
    menu_item_bytes: int = 128  # id and content of an item
    repeated_msgid_code: int = (
        0  # what a msgid that was used before gets; 0: taken, and not shown again
    )
    sendable_states: tuple[int, ...] = (0, 1)  # other states refuse with 95018
    welcome_s: float = 20.0  # a welcome code is good this long
    welcome_silence_s: float = 172800.0  # a customer who was away this long is welcomed
    fail_after_s: float = 0.2  # from the call until the event that says that a message failed


# What this program holds at most; no number of the platform.
ITEMS = 50_000  # in the log of one service account
MSGIDS = 100_000  # own msgids that are remembered
TOKENS = 1_000  # of callbacks
QUEUED = 10_000  # messages that one call of a tester may make
