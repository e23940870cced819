"""An event that we send ourselves through the public address: answered where it arrives, never stored; see `doctor`."""

import json
import time

from tool_server.channel.account import Account
from tool_server.channel.surface import Incoming
from tool_server.channel.surfaces import SURFACES

SELF_TEST = "self_test_of_shenqiao"
USER = "shenqiao-doctor"


def is_self_test(incoming: Incoming) -> bool:
    """Only who has the account's secrets can send one, and the platform has no such event."""
    return incoming.kind == "event" and incoming.event == SELF_TEST and incoming.user == USER


def answer_self_test(account: Account, incoming: Incoming) -> bytes:
    """Its own words, sealed: whoever sent it sees that this server could read it."""
    said = str(json.loads(incoming.data or "{}").get("EventKey", ""))
    surface = SURFACES[account.surface]
    return surface.seal_reply(account, incoming.address, said, now=time.time())
