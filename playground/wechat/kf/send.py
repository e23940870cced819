"""kf/send_msg and kf/send_msg_on_event: as hard as the real ones; a message that was taken may still fail later."""

import re
import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from playground.wechat.kf.desk import ENDED, Desk, ServiceAccount, Session
from playground.wechat.kf.limits import MSGIDS
from playground.wechat.limits import cut

TYPES = ("text", "image", "voice", "video", "file", "link", "miniprogram", "msgmenu", "location")
ON_EVENT = ("text", "msgmenu")
MENU_ITEMS = 10
MSGID = re.compile(r"[0-9a-zA-Z_-]+")


class Send:
    """Both calls; `tell` brings the callback of an event that comes later."""

    def __init__(self, desk: Desk, tell: Callable[[str], None]) -> None:
        self._desk = desk
        self._tell = tell
        self._used: dict[tuple[str, str], None] = {}
        self._fails: deque[tuple[int, int]] = deque()  # (messages that pass first, fail_type)

    def fail(self, fail_type: int, *, skip: int) -> None:
        """The message after the next `skip` ones is taken, and fails."""
        with self._desk.lock:
            self._fails.append((skip, fail_type))

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """kf/send_msg."""
        account = self._desk.accounts.get(str(body.get("open_kfid", "")))
        if account is None:
            return {"errcode": 95000}
        user = str(body.get("touser", ""))
        session = account.sessions.get(user)
        if session is None:
            return {"errcode": 40058}
        with self._desk.lock:
            if code := self._content_fault(body, TYPES) or self._session_fault(session):
                return {"errcode": code}
            msgid = str(body.get("msgid") or secrets.token_hex(16))
            if self._repeated(account, msgid):
                code = self._desk.limits.repeated_msgid_code
                return {"errcode": code, "errmsg": "ok", "msgid": msgid}
            session.quota -= 1
            fail_type = self._fate()
        if fail_type is not None:
            self._fail_later(account, user, msgid, fail_type)
        else:
            self._show(user, body, msgid)
        return {"errcode": 0, "errmsg": "ok", "msgid": msgid}

    def on_event(self, body: dict[str, Any]) -> dict[str, Any]:
        """kf/send_msg_on_event: a welcome code shows one message, once, for a short while."""
        with self._desk.lock:
            if code := self._content_fault(body, ON_EVENT):
                return {"errcode": code}
            found = self._welcomed(str(body.get("code", "")))
            if found is None:
                return {"errcode": 95021}
            user, session = found
            session.welcome_code = ""
            msgid = str(body.get("msgid") or secrets.token_hex(16))
        self._show(user, body, msgid)
        return {"errcode": 0, "errmsg": "ok", "msgid": msgid}

    def _content_fault(self, body: dict[str, Any], types: tuple[str, ...]) -> int:
        kind, msgid = body.get("msgtype"), body.get("msgid", "")
        if kind not in types:
            return 40008
        if not isinstance(msgid, str) or len(msgid) > self._desk.limits.msgid_bytes:
            return 40058
        if msgid and not MSGID.fullmatch(msgid):
            return 40058
        content = body.get(kind)
        if not isinstance(content, dict):
            return 40058
        if kind == "msgmenu":
            return self._menu_fault(content)
        if kind == "text":
            text = content.get("content")
            if not isinstance(text, str) or text != text.encode(errors="ignore").decode():
                return 40058
            return 0 if text else 44004
        return 0

    def _menu_fault(self, menu: dict[str, Any]) -> int:
        items, limits = menu.get("list"), self._desk.limits
        if not isinstance(items, list) or not 1 <= len(items) <= MENU_ITEMS:
            return 95008
        clicks = [item.get("click") if isinstance(item, dict) else None for item in items]
        if not all(_is_click(click, limits.menu_item_bytes) for click in clicks):
            return 40058
        head = menu.get("head_content", "")
        fits = isinstance(head, str) and len(head.encode()) <= limits.menu_text_bytes
        return 0 if fits else 40058

    def _session_fault(self, session: Session) -> int:
        """What the session does not allow. The order of these checks is not documented."""
        if session.state == ENDED:
            return 95013
        if session.state not in self._desk.limits.sendable_states:
            return 95018
        if self._desk.clock() - session.last_message_at > self._desk.limits.reply_s:
            return 95002
        return 0 if session.quota > 0 else 95001

    def _repeated(self, account: ServiceAccount, msgid: str) -> bool:
        name = (account.open_kfid, msgid)
        if name in self._used:
            self._desk.ledger.count("dropped_duplicate")
            return True
        self._used[name] = None
        if len(self._used) > MSGIDS:
            del self._used[next(iter(self._used))]
        return False

    def _fate(self) -> int | None:
        """The fail_type of this message, if a tester wanted it to fail."""
        if not self._fails:
            return None
        skip, fail_type = self._fails.popleft()
        if skip:
            self._fails.appendleft((skip - 1, fail_type))
            return None
        return fail_type

    def _fail_later(self, account: ServiceAccount, user: str, msgid: str, fail_type: int) -> None:
        self._desk.ledger.count("failed_later")

        def fail() -> None:
            fields = {"external_userid": user, "fail_msgid": msgid, "fail_type": fail_type}
            self._desk.event(account, "msg_send_fail", **fields)
            self._tell(account.open_kfid)

        timer = threading.Timer(self._desk.limits.fail_after_s, fail)
        timer.daemon = True
        timer.start()

    def _welcomed(self, code: str) -> tuple[str, Session] | None:
        now = self._desk.clock()
        for account in self._desk.accounts.values():
            for user, session in account.sessions.items():
                if code and session.welcome_code == code and now <= session.welcome_until:
                    return user, session
        return None

    def _show(self, user: str, body: dict[str, Any], msgid: str) -> None:
        kind = body["msgtype"]
        text = body["text"]["content"] if kind == "text" else f"[{kind}]"
        if kind == "msgmenu":
            items = [item["click"]["content"] for item in body[kind]["list"]]
            text = "\n".join([body[kind].get("head_content", ""), *(f"[{item}]" for item in items)])
        said = cut(text, self._desk.limits.text_bytes)
        self._desk.ledger.count("pushed")
        self._desk.show(user, "push", said, msgid)


def _is_click(click: object, limit: int) -> bool:
    """An item that can be pressed: an id that comes back, and the text on it."""
    if not isinstance(click, dict):
        return False
    texts = (click.get("id"), click.get("content"))
    return all(isinstance(text, str) and 0 < len(text.encode()) <= limit for text in texts)
