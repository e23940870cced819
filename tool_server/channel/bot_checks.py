"""How a bot is reached, from what workers and callbacks left in the ledger; nobody connects for it. For `doctor`."""

import time

import sqlalchemy as sa

from tool_server.channel.account import Account, WeComBot, WeComBotSocket
from tool_server.channel.bot_socket.check import advice
from tool_server.channel.checks import Check
from tool_server.channel.leaders import standings
from tool_server.channel.said import Said
from tool_server.channel.schema import messages
from tool_server.database import Database
from tool_server.settings import Settings

NOT_YET = Said("No worker has connected this bot yet.", "还没有后台进程连接这个机器人。")
NO_MESSAGE = Said(
    "No message has come yet: write one to the bot.", "还没有收到消息：请给机器人发一条。"
)


def check_reached(
    settings: Settings, database: Database, name: str, account: Account
) -> list[Check]:
    """Whether a long connection is up; when a webhook was called last. Nothing for other accounts."""
    match account:
        case WeComBotSocket():
            return [_connection(database, name)]
        case WeComBot():
            return [Check.well("heard", _heard(settings, database, name))]
        case _:
            return []


def _connection(database: Database, name: str) -> Check:
    standing = next(iter(standings(database, [name])), None)
    if standing is None:
        return Check.wrong("connection", NOT_YET)
    if wrong := advice(standing):
        return Check("connection", ok=False, advice=wrong, advice_zh=wrong)
    since = _time(standing.since)
    return Check.well("connection", Said(f"Up since {since}.", f"{since} 起已连接。"))


def _heard(settings: Settings, database: Database, name: str) -> Said:
    """A note: silence is no fault. A refresh moves `wait_until`, now and then, to when it is believed no longer."""
    newest = (
        sa.select(messages.c.received_at, messages.c.wait_until, messages.c.fetched_at)
        .where(messages.c.account == name, messages.c.stream_id != "", messages.c.kind != "event")
        .order_by(messages.c.received_at.desc())
        .limit(1)
    )
    row = database.read(lambda db: db.execute(newest).one_or_none())
    if row is None:
        return NO_MESSAGE
    came = _time(row.received_at)
    asked_at = row.fetched_at or row.wait_until - settings.channel_stream_silence_s
    if asked_at <= row.received_at:
        return Said(
            f"The last message came {came}; nobody has come for its stream yet.",
            f"最近一条消息：{came}；还没有人来取它的流。",
        )
    asked = _time(asked_at)
    return Said(
        f"The last message came {came}, the last refresh {asked}.",
        f"最近一条消息：{came}；最近一次刷新：{asked}。",
    )


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
