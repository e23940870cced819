"""The corp's contacts as an app may see them: people in a tree of departments; calls of the API and what changes them.

Documents 90196 (user/get), 95350 (department/simplelist), 90227 (agent/get), 90970 (change_contact).
"""

import threading
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from playground.wechat.api import App

ROOT = 1
MESSAGES = {
    40003: "invalid userid",
    60011: "no privilege to access/modify contact/party/agent",
    60111: "userid not found",
    301002: "not allow operate another agent with this accesstoken",
}


class OrgConfig(BaseModel):
    """Parents by department, departments by person. Without people, everybody exists and is in the root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    departments: dict[int, int] = {ROOT: 0}
    people: dict[str, tuple[int, ...]] = {}
    visible_departments: tuple[int, ...] = ()  # with all below them, besides the app's `visible`


@dataclass(frozen=True)
class Change:
    """What the platform tells of a change in the contacts, by the names of its event."""

    fields: tuple[tuple[str, str], ...]


class Org:
    """The contacts; several threads read and change them."""

    def __init__(self, app: App, config: OrgConfig) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._parents = dict(config.departments)
        self._people = dict(config.people)
        self._open = not config.people
        self._roots = config.visible_departments

    def agent(self, agent_id: str) -> dict[str, Any]:
        """agent/get: who sees the app."""
        if agent_id != str(self._app.agent_id):
            return _error(301002)
        users = [{"userid": user} for user in self._app.users if user != "*"]
        parties = sorted({ROOT} if "*" in self._app.users else set(self._roots))
        return {
            "errcode": 0,
            "errmsg": "ok",
            "agentid": self._app.agent_id,
            "name": "app",
            "close": 0,
            "allow_userinfos": {"user": users},
            "allow_partys": {"partyid": parties},
            "allow_tags": {"tagid": []},
        }

    def user(self, user: str) -> dict[str, Any]:
        """user/get: one person, if there is one and the app sees them."""
        with self._lock:
            departments = self._departments(user)
            if departments is None:
                return _error(60111 if user else 40003)
            if not self._sees(user, departments):
                return _error(60011)
            return {
                "errcode": 0,
                "errmsg": "ok",
                "userid": user,
                "name": user,
                "department": list(departments),
                "status": 1,
            }

    def departments(self) -> dict[str, Any]:
        """department/simplelist: the departments that the app sees, each with its parent."""
        with self._lock:
            shown = [
                {"id": number, "parentid": parent, "order": number}
                for number, parent in sorted(self._parents.items())
                if "*" in self._app.users or self._below_a_root(number)
            ]
        return {"errcode": 0, "errmsg": "ok", "department_id": shown}

    def move(self, user: str, departments: tuple[int, ...]) -> Change:
        """Put a person into departments; into none, and they leave the corp. What the platform tells."""
        with self._lock:
            known = user in self._people
            if departments:
                self._people[user] = departments
            else:
                self._people.pop(user, None)
        kind = "delete_user" if not departments else "update_user" if known else "create_user"
        listed = ",".join(map(str, departments))
        return Change((("ChangeType", kind), ("UserID", user), ("Department", listed)))

    def hang(self, department: int, parent: int) -> Change:
        """Put a department below another one."""
        with self._lock:
            kind = "update_party" if department in self._parents else "create_party"
            self._parents[department] = parent
        return Change((("ChangeType", kind), ("Id", str(department)), ("ParentId", str(parent))))

    def _departments(self, user: str) -> tuple[int, ...] | None:
        if self._open and user:
            return self._people.get(user, (ROOT,))
        return self._people.get(user)

    def _sees(self, user: str, departments: tuple[int, ...]) -> bool:
        return self._app.sees(user) or any(self._below_a_root(number) for number in departments)

    def _below_a_root(self, number: int) -> bool:
        for _ in range(len(self._parents) + 1):
            if number in self._roots:
                return True
            number = self._parents.get(number, 0)
        return False


def _error(code: int) -> dict[str, Any]:
    return {"errcode": code, "errmsg": MESSAGES[code]}
