"""The first half of the message path: a callback arrives, is verified, claimed, stored, and answered if there is time.

Nothing is acknowledged before it is on disk. The worker (`worker.py`) does the rest.
"""

import time
from dataclasses import dataclass

import structlog

from tool_server import wake
from tool_server.caller import Caller
from tool_server.channel.account import Account
from tool_server.channel.ledger import Claim
from tool_server.channel.services import Services
from tool_server.channel.surface import Callback, Incoming, Received, Refused
from tool_server.channel.surfaces import SURFACES

log = structlog.get_logger()


@dataclass(frozen=True)
class Reply:
    """What the platform gets with its 200: the sealed passive reply, or nothing."""

    body: bytes = b""


def check_address(services: Services, name: str, callback: Callback) -> str:
    """The platform's GET check when an administrator saves the callback URL. Raises `Refused`."""
    account = _account(services, name)
    return SURFACES[account.surface].verify(account, callback)


def receive(services: Services, name: str, callback: Callback, caller: Caller) -> Reply:
    """One delivery of one message. Raises `Refused` (not from the platform) and `Unavailable` (queue full)."""
    arrived = time.monotonic() - caller.waited_s()
    started = time.monotonic()
    account = _account(services, name)
    incoming = decode(services, account, callback)
    if not isinstance(incoming, Incoming):
        raise Refused("this surface has neither streams nor pulls")
    patience_s = _patience(services, callback) - (started - arrived)
    with services.room.seat(patience_s) as wait_s:
        claim = claim_message(services, name, incoming, wait_s)
        services.metrics.claimed(time.monotonic() - started, new=claim.new)
        return Reply(await_reply(services, claim, started + wait_s, caller) or b"")


def decode(services: Services, account: Account, callback: Callback) -> Received:
    """Signature, decryption, receive id, shape: in this order, all or nothing."""
    window_s = services.settings.channel_callback_window_s
    surface = SURFACES[account.surface]
    return surface.decode(account, callback, window_s=window_s, now=time.time())


def claim_message(services: Services, name: str, incoming: Incoming, wait_s: float) -> Claim:
    """The atomic insert that makes a message ours exactly once; wakes a worker for a new one."""
    wait_until = time.time() + wait_s if wait_s else 0.0
    claim = services.ledger.claim(name, incoming, wait_until=wait_until)
    log.info("callback.claimed", message=claim.message_id, new=claim.new, kind=incoming.kind)
    kind, payload = ("worker", "") if claim.new else ("web", str(claim.message_id))
    wake.ring(services.settings.run_dir, kind, payload)
    return claim


def await_reply(services: Services, claim: Claim, deadline: float, caller: Caller) -> bytes | None:
    """The passive reply, if this connection is the newest and the answer is there in time; else None."""
    if claim.mode == "push":
        return None
    with services.room.listen(claim.message_id) as rung:
        while True:
            view = services.ledger.view(claim.message_id)
            if view.mode == "passive":
                return fetch_reply(services, claim, caller)
            if view.mode == "push" or view.connections != claim.connection:
                return None
            if not rung.wait(deadline - time.monotonic()):
                services.ledger.stop_waiting(claim)
                return fetch_reply(services, claim, caller)  # it may have come in this moment


def fetch_reply(services: Services, claim: Claim, caller: Caller) -> bytes | None:
    """The stored reply for this connection; one that the platform has cut meanwhile is as if it had never come.

    Looked at after the write too, which may take its time on a busy disk: what nobody reads must be pushed.
    """
    if caller.gone():
        return None
    reply = services.ledger.fetch(claim)
    if reply is not None and caller.gone():
        services.ledger.miss(claim)
        return None
    return reply


def _account(services: Services, name: str) -> Account:
    """An unknown account answers like a bad signature: its name is not to be guessed."""
    account = services.accounts.get(name)
    if account is None or not account.enabled:
        raise Refused("no such account")
    return account


def _patience(services: Services, callback: Callback) -> float:
    settings = services.settings
    return settings.channel_relay_wait_s if callback.relayed else settings.channel_wait_s
