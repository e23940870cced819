"""Customer service on a stage: the account, what customers and humans do, and what customers saw."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from playground.stage import CORP_ID, Plan, Stage, open_stage
from tests.fakes.dify import KEY, FakeDify
from tests.waiting import wait_for

ACCOUNT = "kf"
OPEN_KFID = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw"
AES_KEY = "R/azTixs1CVSRo/fDJP5i4DORZC8RTls1fExFZ3+zSc"


@dataclass(frozen=True)
class Customers:
    """Both sides of one service account."""

    stage: Stage

    def say(self, user: str, text: str = "", **more: Any) -> str:
        """A customer writes; the msgid."""
        return str(self._post("messages", user=user, text=text, **more)["msg_id"])

    def queue(self, messages: int, users: int) -> dict[str, str]:
        """Messages that nobody is told of: msgid → customer."""
        return dict(self._post("queue", messages=messages, users=users)["messages"])

    def tell(self) -> None:
        self._post("tell")

    def human(self, user: str, does: str, **more: Any) -> None:
        self._post("human", user=user, does=does, **more)

    def fail(self, fail_type: int, **more: Any) -> None:
        self._post("fail", fail_type=fail_type, **more)

    def enter(self, user: str) -> str:
        return str(self._post("enter", user=user)["welcome_code"])

    def set_state(self, user: str, state: int) -> None:
        """The session's state changes without an event."""
        self._post("state", user=user, state=state)

    def forget_tokens(self) -> None:
        """Callbacks' tokens are good no more."""
        self._post("forget_tokens")

    def sessions(self) -> dict[str, int]:
        answer = self.stage.http.get(f"{self.stage.platform_url}/playground/kf/sessions")
        return dict(answer.json()["sessions"])

    def read(self, user: str) -> list[str]:
        """What the bot has said to a customer."""
        return [entry["text"] for entry in self.stage.seen(user) if entry["source"] == "push"]

    def life(self, msgid: str) -> dict[str, Any]:
        """The ledger's row and events of a message; empty as long as it was not pulled."""
        key = {"Authorization": f"Bearer {self.stage.key('channel')}"}
        url = f"{self.stage.server_url}/channel/accounts/{ACCOUNT}/messages/{msgid}"
        try:
            answer = self.stage.http.get(url, headers=key)
        except httpx.HTTPError:  # the web process may be the one that was killed
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def state(self, msgid: str) -> str:
        return str(self.life(msgid).get("message", {}).get("state", ""))

    def events(self, msgid: str) -> list[str]:
        return [event["name"] for event in self.life(msgid).get("events", ())]

    def reason(self, msgid: str) -> str:
        """Why a message was noted and not answered; empty where it was not."""
        events = self.life(msgid).get("events", ())
        return next((e["data"].get("reason", "") for e in events if e["name"] == "noted"), "")

    def settled(self, msgid: str) -> None:
        wait_for(lambda: self.state(msgid) in ("done", "failed"), why=lambda: self.life(msgid))

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.stage.http.post(
            f"{self.stage.platform_url}/playground/kf/{path}", json=body, timeout=120
        )
        answer.raise_for_status()
        return dict(answer.json())


@contextmanager
def open_customers(
    folder: Path, dify: FakeDify, *, limits: dict[str, Any], settings: dict[str, str]
) -> Iterator[Customers]:
    """A stage whose platform has one service account, connected."""
    section = kf_section(limits)
    plan = Plan(
        folder,
        model=False,
        knowledge=False,
        dify_url=dify.url,
        dify_key=KEY,
        settings=settings,
        wechat={"gap_s": 0.3, "kf": section},
    )
    with open_stage(plan) as stage:
        yield connect(stage, section["token"])


def kf_section(limits: dict[str, Any]) -> dict[str, Any]:
    """The simulator's part for one service account."""
    secrets_of_callbacks = {"token": secrets.token_hex(16), "encoding_aes_key": AES_KEY}
    return {"accounts": {OPEN_KFID: "Help"}, **secrets_of_callbacks, "limits": limits}


def connect(stage: Stage, token: str) -> Customers:
    """Save the account of the service account on a stage, and its callback URL with the platform."""
    account = {
        "surface": "wecom_kf",
        "corp_id": CORP_ID,
        "secret": stage.secrets["secret"],
        "token": token,
        "encoding_aes_key": AES_KEY,
        "dify_url": stage.dify_url,
        "dify_key": stage.plan.dify_key,
        "ai_label": False,
        "servicer": "servicer",
    }
    admin = {"Authorization": f"Bearer {stage.key('admin')}"}
    url = f"{stage.server_url}/channel/accounts/{ACCOUNT}"
    stage.http.put(url, json=account, headers=admin).raise_for_status()
    customers = Customers(stage)
    address = f"{stage.server_url}/channel/{ACCOUNT}/callback"
    assert customers._post("callback_url", callback_url=address)["ok"]
    return customers
