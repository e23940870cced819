"""Whether a bot's connection works, asked when its account is saved or tested; never at the cost of a running one."""

import asyncio
import time

from websockets.exceptions import WebSocketException

from tool_server.channel.account import WeComBotSocket
from tool_server.channel.bot_socket.connection import (
    AckLost,
    Ended,
    Frame,
    Pace,
    Refused,
    open_connection,
)
from tool_server.channel.leaders import Leaders, Standing, standings
from tool_server.channel.ledger import Ledger
from tool_server.channel.surfaces import wecom_bot_socket
from tool_server.database import Database
from tool_server.owner import OwnerLock, new_owner
from tool_server.settings import Settings

# A running worker has noticed by then what was saved …
SETTLE_S = 0.6
# … and leads the account by then; else we try it ourselves.
WORKER_S = 1.5
# For a worker that is connecting.
CONNECT_S = 5.0
POLL_S = 0.1


def check_connection(
    settings: Settings, database: Database, name: str, account: WeComBotSocket
) -> str:
    """Empty where the bot is connected, or can be; else a sentence that says what to do."""
    deadline = time.monotonic() + WORKER_S
    time.sleep(SETTLE_S)
    while time.monotonic() < deadline:
        standing = _standing(database, name)
        if standing is not None and standing.led:
            return _of_worker(database, name)
        time.sleep(POLL_S)
    return _try(settings, database, name, account)


def advice(standing: Standing) -> str:
    """What an operator reads of a connection; empty where it is up."""
    match standing.state:
        case "up" if standing.led:
            return ""
        case "up" | "connecting" if not standing.led:
            return "No worker holds this bot's connection any more: does one run?"
        case "connecting":
            return "A worker connects this bot just now."
        case "kicked":
            return (
                "Somebody else has connected this bot, so we stay away. Stop the other program, then"
                f" `shenqiao account connect {standing.account}`."
            )
        case "refused":
            return f"We do not try again: {standing.reason}. Copy bot id and secret from the bot's page."
        case _:
            return standing.reason or "No worker has connected this bot yet."


def _of_worker(database: Database, name: str) -> str:
    """What the worker that leads the account comes to."""
    deadline = time.monotonic() + CONNECT_S
    said = "The connection is not up yet."
    while time.monotonic() < deadline:
        standing = _standing(database, name)
        if standing is not None and standing.state != "connecting":
            said = advice(standing)
            if not said or not standing.led:
                return said
        time.sleep(POLL_S)
    return said


def _try(settings: Settings, database: Database, name: str, account: WeComBotSocket) -> str:
    """Connect for a moment, as the account's leader: no worker can do so meanwhile."""
    locks = settings.run_dir / "workers"
    owner = new_owner(locks)
    lock = OwnerLock(locks, owner)
    leaders = Leaders(database, owner, locks, lease_s=settings.channel_lease_s)
    try:
        fence = leaders.take(name)
        if fence is None:
            standing = _standing(database, name)
            return advice(standing) if standing else "Another process tries this bot just now."
        try:
            return asyncio.run(_subscribe(settings, database, name, account))
        finally:
            leaders.say(name, fence, "")
            leaders.release(name, fence)
    finally:
        lock.close()


async def _subscribe(
    settings: Settings, database: Database, name: str, account: WeComBotSocket
) -> str:
    ledger, up = Ledger.open(database, settings), asyncio.Event()

    def keep(frame: Frame) -> None:
        """A message that comes in this moment waits in the ledger for a worker."""
        incoming = wecom_bot_socket.incoming(account, frame.req_id, frame.body, now=time.time())
        ledger.claim(name, incoming, wait_until=0.0)

    try:
        async with open_connection(settings.channel_wecom_bot_url, Pace()) as connection:
            secret = account.secret.get_secret_value()
            serving = asyncio.create_task(
                connection.serve(account.bot_id, secret, deliver=keep, subscribed=up.set)
            )
            waiting = asyncio.create_task(up.wait())
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not up.is_set():
                serving.result()
            for task in (serving, waiting):
                task.cancel()
            await asyncio.gather(serving, waiting, return_exceptions=True)
    except Refused as error:
        return f"The platform refuses bot id or secret ({error}): copy both from the bot's page."
    except (OSError, TimeoutError, WebSocketException, Ended, AckLost):
        return "The platform's address for long connections cannot be reached from this server."
    return ""


def _standing(database: Database, name: str) -> Standing | None:
    return next(iter(standings(database, [name])), None)
