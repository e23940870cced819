"""Which service accounts an entry answers for: those it names, or all that its app may use; for `pulls`."""

import json
from collections.abc import Sequence

import structlog

from tool_server.channel.account import WeComKf
from tool_server.channel.surface import Api
from tool_server.channel.wecom_api import SendError

log = structlog.get_logger()

LISTED_AT_ONCE = 100
LISTS = 20


def service_accounts(api: Api, account: WeComKf) -> Sequence[str]:
    """Ids; fewer, or none, where the platform does not answer now: callbacks name theirs."""
    if account.open_kfids:
        return account.open_kfids
    found: list[str] = []
    try:
        for number in range(LISTS):
            body = {"offset": number * LISTED_AT_ONCE, "limit": LISTED_AT_ONCE}
            answer = api.call(account, "/cgi-bin/kf/account/list", json.dumps(body))
            listed = answer.get("account_list")
            ids = [_id(entry) for entry in listed] if isinstance(listed, list) else []
            found += [open_kfid for open_kfid in ids if open_kfid]
            if len(ids) < LISTED_AT_ONCE:
                break
    except SendError as error:
        log.warning("kf.unlisted", code=error.code)
    return found


def _id(entry: object) -> str:
    open_kfid = entry.get("open_kfid") if isinstance(entry, dict) else None
    return open_kfid if isinstance(open_kfid, str) and 0 < len(open_kfid) <= 64 else ""
