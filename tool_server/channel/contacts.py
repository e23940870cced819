"""The corp's contacts as an app may ask for them: a person's departments, with all above them; called by `people`.

Documents 90196 (user/get) and 95350 (department/simplelist).
"""

from collections.abc import Mapping

import structlog

from tool_server.channel.account import WeComApp
from tool_server.channel.wecom_api import WeComApi
from tool_server.channel.wecom_errors import SendError

log = structlog.get_logger()

# There is no such person, or the app does not see them: an answer, not a failure.
NO_SUCH_PERSON = (40003, 60011, 60111)
# Departments lie at most this deep in each other; a ring in the platform's answer ends there.
DEPTH = 50


def look_up(api: WeComApi, app: WeComApp, user: str) -> tuple[int, ...] | None:
    """Numbers of the person's departments and of all above them; None for whom the app does not see.

    Raises `SendError` where the platform cannot say.
    """
    try:
        person = api.get(app, "/cgi-bin/user/get", {"userid": user})
    except SendError as error:
        if error.code in NO_SUCH_PERSON:
            return None
        raise
    listed = person.get("department")
    own = listed if isinstance(listed, list) else []
    numbers = {number for number in own if isinstance(number, int) and number > 0}
    return with_ancestors(numbers, _parents(api, app)) if numbers else ()


def with_ancestors(own: set[int], parents: Mapping[int, int]) -> tuple[int, ...]:
    """Departments and all above them, as far as they are known; the root's parent is 0, which is none."""
    found: set[int] = set()
    level = set(own)
    for _ in range(DEPTH):
        found |= level
        level = {parents[number] for number in level if parents.get(number, 0) > 0} - found
        if not level:
            break
    return tuple(sorted(found))


def _parents(api: WeComApi, app: WeComApp) -> dict[int, int]:
    """The parent of each department that the app sees; without the right to ask, people have their own only."""
    try:
        answer = api.get(app, "/cgi-bin/department/simplelist")
    except SendError as error:
        if error.again_in_s is not None:
            raise
        log.warning("departments.closed", code=error.code)
        return {}
    rows = answer.get("department_id")
    pairs = (row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else ()
    return {
        row["id"]: row["parentid"]
        for row in pairs
        if isinstance(row.get("id"), int) and isinstance(row.get("parentid"), int)
    }
