"""Who serves a customer: kf/service_state/get and trans, and what a human at the desk does; states as in 94669."""

import secrets
from typing import Any

from playground.wechat.kf.desk import BOT, ENDED, HUMAN, NEW, POOL, Desk, ServiceAccount, Session

# From a state to those that the API may change it to; a human may go on to another human.
CHANGES: dict[int, tuple[int, ...]] = {
    NEW: (BOT, POOL, HUMAN, ENDED),
    BOT: (POOL, HUMAN, ENDED),
    POOL: (HUMAN, ENDED),
    HUMAN: (POOL, HUMAN, ENDED),
    ENDED: (),
}
# change_type of session_status_change.
TAKEN, PASSED_ON, CLOSED = 1, 2, 3


class Sessions:
    """Both API calls, and a human's three moves."""

    def __init__(self, desk: Desk, servicers: tuple[str, ...]) -> None:
        self._desk = desk
        self._servicers = servicers

    def get(self, body: dict[str, Any]) -> dict[str, Any]:
        found = self._find(body)
        if isinstance(found, int):
            return {"errcode": found}
        _, session = found
        return {
            "errcode": 0,
            "errmsg": "ok",
            "service_state": session.state,
            "servicer_userid": session.servicer,
        }

    def trans(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change the state; a human must be one of the account's servicers."""
        found, wanted = self._find(body), body.get("service_state")
        if isinstance(found, int):
            return {"errcode": found}
        _, session = found
        servicer = str(body.get("servicer_userid", ""))
        if wanted == HUMAN and servicer not in self._servicers:
            return {"errcode": 95014}
        with self._desk.lock:
            if wanted not in CHANGES[session.state]:
                return {"errcode": 95016}
            session.state, session.servicer = int(wanted), servicer if wanted == HUMAN else ""
        return {"errcode": 0, "errmsg": "ok", "msg_code": secrets.token_urlsafe(16)}

    def take(self, open_kfid: str, user: str, servicer: str) -> None:
        """A human takes the customer over."""
        self._change(open_kfid, user, HUMAN, TAKEN, servicer)

    def put(self, open_kfid: str, user: str, state: int) -> None:
        """Change a state without an event: events can be lost, and not every change has one."""
        with self._desk.lock:
            self._desk.accounts[open_kfid].sessions[user].state = state

    def end(self, open_kfid: str, user: str) -> None:
        """The human has finished; the customer's next message begins anew, with the bot."""
        self._change(open_kfid, user, ENDED, CLOSED, "")

    def _change(self, open_kfid: str, user: str, state: int, kind: int, servicer: str) -> None:
        with self._desk.lock:
            account = self._desk.accounts[open_kfid]
            session = account.sessions.setdefault(user, Session())
            before, session.state, session.servicer = session.servicer, state, servicer
            self._desk.event(
                account,
                "session_status_change",
                external_userid=user,
                change_type=kind,
                old_servicer_userid=before,
                new_servicer_userid=servicer,
            )

    def _find(self, body: dict[str, Any]) -> tuple[ServiceAccount, Session] | int:
        account = self._desk.accounts.get(str(body.get("open_kfid", "")))
        if account is None:
            return 95000
        session = account.sessions.get(str(body.get("external_userid", "")))
        return (account, session) if session is not None else 40058
