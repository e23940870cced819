"""Error codes of the WeCom API: what each means, what its reader can do, and whether another try helps.

The one table behind `SendError`, `shenqiao doctor` and docs/errors.md. Codes: developer.work.weixin.qq.com, documents
90312 and 90313.
"""

import re
from dataclasses import dataclass
from typing import Literal

# The platform could not be reached, or its answer not be read: no code of its own.
UNREACHABLE = 0
BUSY = -1
TOKEN_FAULTS = (40001, 40014, 42001)
# Many calls of gettoken with a wrong secret ban the caller's address for an hour (91039).
SECRET_FAULTS = (40001, 40013, 41004)
# The call-frequency and the concurrency limit: blocked for a minute, an hour or the rest of the day (90312).
QUOTA_FAULTS = (45009, 45033)
IP_FAULT = 60020
ADDRESS = re.compile(r"from ip: ?([0-9a-fA-F.:]{3,45})")

type Then = Literal["again", "token", "breaker", "stop"]
ACTIONS: dict[Then, str] = {
    "again": "tries again",
    "token": "takes a new token and tries once more; then leaves the platform alone for a while",
    "breaker": "makes no such call for a while, all processes together",
    "stop": "does not try again",
}


@dataclass(frozen=True)
class Fault:
    """One code, or several with the same cause: sentences for the operator, and what we do."""

    codes: tuple[int, ...]
    cause: str
    fix: str
    then: Then = "stop"


FAULTS = (
    Fault((-1,), "The platform is busy.", "Nothing; it passes.", "again"),
    Fault(
        (40001,),
        "`secret` is wrong, or the token is not valid any more.",
        "Copy Secret from the app's page in the WeCom console into `secret`.",
        "token",
    ),
    Fault(
        (40014, 42001),
        "The access token is bad or has expired.",
        "Nothing, if it happens once. Again and again: does another program use this app's secret?",
        "token",
    ),
    Fault(
        (40013, 41004),
        "`corp_id` is not a corp's id, or `secret` is missing.",
        "Copy 企业ID (My Company, at the bottom) into `corp_id`.",
    ),
    Fault((40029,), "The login code is bad or was used before.", "Open the link again."),
    Fault(
        (40003, 60111),
        "There is no such person in the corp.",
        "Write the 账号 (userid) of the person's page in Contacts, not the name.",
    ),
    Fault((40058,), "A parameter is wrong: a fault of ours.", "Report it, with the log line."),
    Fault((45001, 45002), "The file or the text is too large.", "Report it, with the log line."),
    Fault(
        (45009,),
        "Too many calls in a minute, an hour or a day.",
        "Wait; if it comes back, see which other programs use this corp's API.",
        "breaker",
    ),
    Fault((45033,), "Too many calls at the same time.", "Wait.", "breaker"),
    Fault((48002,), "The app has no right to this API.", "Give it the right in the WeCom console."),
    Fault(
        (48007,),
        "This customer service account does not belong to the app.",
        "微信客服 → 可调用接口的应用: add the app, then let it manage the account.",
    ),
    Fault(
        (50001,),
        "The address's domain is not trusted.",
        "The app's page → 网页授权及JS-SDK → 可信域名: enter the domain.",
    ),
    Fault(
        (60011, 81013),
        "The app does not see this person.",
        "The app's page → 可见范围 (visible range): add the person or the department.",
    ),
    Fault(
        (60020,),
        "This server's address is not among the app's trusted IPs.",
        "The app's page → 企业可信IP: add the address; it works about a minute later.",
    ),
    Fault(
        (301002,),
        "`agent_id` is another app's number.",
        "Copy AgentId from the page of the app that `secret` belongs to.",
    ),
    Fault(
        (95000, 95001, 95002, 95007, 95013, 95016, 95018),
        "Customer service: more than 5 answers to one message, more than 48 hours later, the"
        " conversation has ended, or a human serves.",
        "Nothing; the person must write again.",
    ),
    Fault(
        (846605, 846608),
        "The AI bot's stream is unknown or has ended.",
        "Nothing; the answer is sent as a message of its own.",
    ),
)
BY_CODE = {code: fault for fault in FAULTS for code in fault.codes}

PAUSE_S = {"again": 1.0, "token": 60.0, "breaker": 65.0}


class SendError(Exception):
    """The platform did not take a call. `again_in_s` is None where another try cannot help.

    `free`: this says nothing about what was to be sent, and does not count as a try of it.
    """

    def __init__(
        self, code: int, message: str, *, again_in_s: float | None, free: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.again_in_s = again_in_s
        self.free = free


def refusal(code: int, message: str) -> SendError:
    """The error for an answer with this code; the platform's text is kept only as far as it helps the operator."""
    known = BY_CODE.get(code)
    if code == IP_FAULT:
        return SendError(
            code, f"not allowed from the address {address_in(message)}", again_in_s=None
        )
    return SendError(code, message[:160], again_in_s=PAUSE_S.get(known.then) if known else None)


def unreachable(message: str = "the platform cannot be reached") -> SendError:
    """It may have taken the call: another try sends the same bytes, which the platform then drops."""
    return SendError(UNREACHABLE, message, again_in_s=1.0)


def address_in(message: str) -> str:
    """The caller's address as error 60020 names it."""
    found = ADDRESS.search(message)
    return found[1].rstrip(".") if found else "unknown"


def advice(error: SendError) -> str:
    """What an operator reads: cause and fix, with what the error itself says."""
    if error.code == UNREACHABLE:
        return f"The WeCom API cannot be reached from this server: {error}."
    known = BY_CODE.get(error.code)
    if known is None:
        return f"The WeCom API answers with the code {error.code}: {error}."
    said = f" It is {error}." if error.code == IP_FAULT else ""
    return f"{known.cause} {known.fix}{said} (code {error.code})"


def table() -> str:
    """The rows of docs/errors.md."""
    rows = (
        f"| {', '.join(_minus(code) for code in fault.codes)} | {fault.cause} | {fault.fix} |"
        f" {ACTIONS[fault.then]} |"
        for fault in FAULTS
    )
    head = ("| code | what it means | what to do | what Shenqiao does |", "|---|---|---|---|")
    return "\n".join((*head, *rows))


def _minus(code: int) -> str:
    return str(code).replace("-", "−")
