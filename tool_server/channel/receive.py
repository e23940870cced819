"""The first half of the message path: a callback arrives, is verified, claimed, stored, and answered if there is time.

Nothing is acknowledged before it is on disk. The worker (`worker.py`) does the rest.
"""

import contextlib
import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tool_server import wake
from tool_server.caller import Caller
from tool_server.channel import nonces
from tool_server.channel.account import Account
from tool_server.channel.envelope import refuse_unknown
from tool_server.channel.kf.cursors import want
from tool_server.channel.ledger import Claim
from tool_server.channel.nonces import Seen
from tool_server.channel.refreshes import Delivery, answer_delivery, answer_refresh
from tool_server.channel.schema import address_checks
from tool_server.channel.self_test import SELF_TEST, answer_self_test, is_self_test
from tool_server.channel.services import Services
from tool_server.channel.surface import Callback, Incoming, Pull, Received, Refresh
from tool_server.channel.surfaces import STREAMS, SURFACES

JSON = "application/json"


@dataclass(frozen=True)
class Reply:
    """What the platform gets with its 200: the sealed passive reply, or nothing."""

    body: bytes = b""
    mimetype: str = "text/xml"


def check_address(services: Services, name: str, callback: Callback) -> str:
    """The platform's GET check when an administrator saves the callback URL. Raises `Refused`."""
    account = _account(services, name, callback)
    said = SURFACES[account.surface].verify(account, callback)
    if not said.startswith(SELF_TEST):
        _note_check(services, name)
    return said


def receive(services: Services, name: str, callback: Callback, caller: Caller) -> Reply:
    """One delivery of one message. Raises `Refused` (not from the platform) and `Unavailable` (queue full)."""
    arrived = time.monotonic() - caller.waited_s()
    started = time.monotonic()
    account = _account(services, name, callback)
    received = decode(services, account, callback)
    delivery = Delivery(name, account, callback, caller)
    window_s = services.settings.channel_callback_window_s
    seen = nonces.seen(name, callback, received, window_s=window_s)
    match received:
        case Refresh(stream):
            return Reply(answer_refresh(services, delivery, stream), JSON)
        case Incoming() if account.surface in STREAMS and received.kind != "event":
            return receive_streamed(services, delivery, received, started, seen)
        case Incoming() if is_self_test(received):
            return Reply(answer_self_test(account, received))
        case Incoming():
            services.people.changed(name, account, received)
            patience_s = _patience(services, callback) - (started - arrived)
            return receive_passive(services, delivery, received, started, patience_s, seen)
        case Pull():
            want_pull(services, name, received, seen)
            return Reply()


def receive_streamed(
    services: Services, delivery: Delivery, incoming: Incoming, started: float, seen: Seen | None
) -> Reply:
    """Open the message's stream, or find it: the reply shows what is there, refreshes come for the rest."""
    silence_s = services.settings.channel_stream_silence_s
    claim = claim_message(services, delivery.name, incoming, silence_s, seen, stream=True)
    services.metrics.claimed(time.monotonic() - started, new=claim.new)
    return Reply(answer_delivery(services, delivery, incoming, claim), JSON)


def receive_passive(
    services: Services,
    delivery: Delivery,
    incoming: Incoming,
    started: float,
    patience_s: float,
    seen: Seen | None,
) -> Reply:
    """Claim the message, and wait a while for an answer that the reply can carry."""
    with services.room.seat(patience_s) as wait_s:
        claim = claim_message(services, delivery.name, incoming, wait_s, seen)
        services.metrics.claimed(time.monotonic() - started, new=claim.new)
        reply = await_reply(services, claim, started + wait_s, delivery.caller)
    if reply and (surface := STREAMS.get(delivery.account.surface)):
        sealed = surface.enclose(delivery.account, delivery.callback, reply, now=time.time())
        return Reply(sealed, JSON)
    return Reply(reply or b"")


def decode(services: Services, account: Account, callback: Callback) -> Received:
    """Signature, decryption, receive id, shape: in this order, all or nothing."""
    window_s = services.settings.channel_callback_window_s
    surface = SURFACES[account.surface]
    return surface.decode(account, callback, window_s=window_s, now=time.time())


def want_pull(services: Services, name: str, pull: Pull, seen: Seen | None) -> None:
    """The wish to read is on disk before the platform hears of it; a worker's puller is woken."""
    since = time.time() - services.settings.channel_kf_fresh_s

    def work(db: sa.Connection) -> None:
        if seen is not None:
            services.ledger.nonces.keep(db, seen)
        want(db, name, pull, since=since)

    services.database.write(work)
    services.metrics.wanted()
    wake.ring(services.settings.run_dir, "puller")


def claim_message(
    services: Services,
    name: str,
    incoming: Incoming,
    wait_s: float,
    seen: Seen | None,
    *,
    stream: bool = False,
) -> Claim:
    """The atomic insert that makes a message ours exactly once; wakes a worker for a new one."""
    wait_until = time.time() + wait_s if wait_s else 0.0
    claim = services.ledger.claim(name, incoming, wait_until=wait_until, stream=stream, seen=seen)
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


def _note_check(services: Services, name: str) -> None:
    """One row an account: the sender has the account's secrets, or repeats within minutes who has."""

    def work(db: sa.Connection) -> None:
        db.execute(sa.delete(address_checks).where(address_checks.c.account == name))
        db.execute(sa.insert(address_checks).values(account=name, at=time.time()))

    with contextlib.suppress(IntegrityError):  # another one has just noted it
        services.database.write(work)


def _account(services: Services, name: str, callback: Callback) -> Account:
    """An unknown account answers like a bad signature: its name is not to be guessed."""
    account = services.accounts.get(name)
    if account is None or not account.enabled:
        window_s = services.settings.channel_callback_window_s
        refuse_unknown(callback, window_s=window_s, now=time.time())
    return account


def _patience(services: Services, callback: Callback) -> float:
    settings = services.settings
    return settings.channel_relay_wait_s if callback.relayed else settings.channel_wait_s
