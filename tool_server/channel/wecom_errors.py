"""Error codes of the WeCom API: what each means, what its reader can do, and whether another try helps.

The one table behind `SendError`, `shenqiao doctor` and docs/errors.md. Codes: developer.work.weixin.qq.com, documents
90312 and 90313.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tool_server.channel.said import Said

# The platform could not be reached, or its answer not be read: no code of its own.
UNREACHABLE = 0
BUSY = -1
TOKEN_FAULTS = (40001, 40014, 42001)
# Many calls of gettoken with a wrong secret ban the caller's address for an hour (91039).
SECRET_FAULTS = (40001, 40013, 41004)
# The call-frequency and the concurrency limit: blocked for a minute, an hour or the rest of the day (90312).
QUOTA_FAULTS = (45009, 45033)
IP_FAULT = 60020
NOT_FROM = "not allowed from the address "
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
    cause: Said
    fix: Said
    then: Then = "stop"


FAULTS = (
    Fault(
        (-1,),
        Said("The platform is busy.", "平台繁忙。"),
        Said("Nothing; it passes.", "无需处理，稍后会恢复。"),
        "again",
    ),
    Fault(
        (40001,),
        Said(
            "`secret` is wrong, or the token is not valid any more.",
            "`secret` 不对，或令牌已失效。",
        ),
        Said(
            "Copy Secret from the app's page in the WeCom console into `secret`.",
            "把企业微信后台应用页面上的 Secret 复制到 `secret`。",
        ),
        "token",
    ),
    Fault(
        (40014, 42001),
        Said("The access token is bad or has expired.", "访问令牌无效或已过期。"),
        Said(
            "Nothing, if it happens once. Again and again: does another program use this app's secret?",
            "偶尔一次无需处理。反复出现：是否有别的程序在用这个应用的 Secret？",
        ),
        "token",
    ),
    Fault(
        (40013, 41004),
        Said(
            "`corp_id` is not a corp's id, or `secret` is missing.",
            "`corp_id` 不是企业 ID，或缺少 `secret`。",
        ),
        Said(
            "Copy 企业ID (My Company, at the bottom) into `corp_id`.",
            "把企业 ID（我的企业，页面底部）复制到 `corp_id`。",
        ),
    ),
    Fault(
        (40029,),
        Said("The login code is bad or was used before.", "登录的 code 无效或已用过。"),
        Said("Open the link again.", "请重新打开链接。"),
    ),
    Fault(
        (40003, 60111),
        Said("There is no such person in the corp.", "企业里没有这个人。"),
        Said(
            "Write the 账号 (userid) of the person's page in Contacts, not the name.",
            "填写通讯录中成员的“账号”（userid），不是姓名。",
        ),
    ),
    Fault(
        (40058,),
        Said("A parameter is wrong: a fault of ours.", "参数有误：是我们的问题。"),
        Said("Report it, with the log line.", "请连同日志一起反馈。"),
    ),
    Fault(
        (45001, 45002),
        Said("The file or the text is too large.", "文件或文本过大。"),
        Said("Report it, with the log line.", "请连同日志一起反馈。"),
    ),
    Fault(
        (45009,),
        Said(
            "Too many calls in a minute, an hour or a day.", "每分钟、每小时或每天的调用次数过多。"
        ),
        Said(
            "Wait; if it comes back, see which other programs use this corp's API.",
            "请等待；若反复出现，看看还有哪些程序在用本企业的接口。",
        ),
        "breaker",
    ),
    Fault(
        (45033,),
        Said("Too many calls at the same time.", "同时进行的调用过多。"),
        Said("Wait.", "请等待。"),
        "breaker",
    ),
    Fault(
        (48002,),
        Said("The app has no right to this API.", "应用没有这个接口的权限。"),
        Said("Give it the right in the WeCom console.", "在企业微信后台给应用开通权限。"),
    ),
    Fault(
        (48007,),
        Said(
            "This customer service account does not belong to the app.",
            "这个客服账号不归该应用管理。",
        ),
        Said(
            "微信客服 → 可调用接口的应用: add the app, then let it manage the account.",
            "微信客服 → 可调用接口的应用：添加该应用，再让它管理这个客服账号。",
        ),
    ),
    Fault(
        (50001,),
        Said("The address's domain is not trusted.", "地址的域名不是可信域名。"),
        Said(
            "The app's page → 网页授权及JS-SDK → 可信域名: enter the domain.",
            "应用页面 → 网页授权及JS-SDK → 可信域名：填写该域名。",
        ),
    ),
    Fault(
        (60011, 81013),
        Said("The app does not see this person.", "应用看不到这个人。"),
        Said(
            "The app's page → 可见范围 (visible range): add the person or the department.",
            "应用页面 → 可见范围：添加这个人或其部门。",
        ),
    ),
    Fault(
        (60020,),
        Said(
            "This server's address is not among the app's trusted IPs.",
            "本服务器的地址不在应用的企业可信IP中。",
        ),
        Said(
            "The app's page → 企业可信IP: add the address; it works about a minute later.",
            "应用页面 → 企业可信IP：添加该地址，约一分钟后生效。",
        ),
    ),
    Fault(
        (301002,),
        Said("`agent_id` is another app's number.", "`agent_id` 是另一个应用的编号。"),
        Said(
            "Copy AgentId from the page of the app that `secret` belongs to.",
            "从 `secret` 所属应用的页面复制 AgentId。",
        ),
    ),
    Fault(
        (95000, 95001, 95002, 95007, 95013, 95016, 95018),
        Said(
            "Customer service: more than 5 answers to one message, more than 48 hours later, the"
            " conversation has ended, or a human serves.",
            "微信客服：对一条消息的回复超过 5 条、超过 48 小时、会话已结束，或正由人工接待。",
        ),
        Said("Nothing; the person must write again.", "无需处理；要等对方再次来信。"),
    ),
    Fault(
        (846605, 846608),
        Said("The AI bot's stream is unknown or has ended.", "智能机器人的流式消息未知或已结束。"),
        Said(
            "Nothing; the answer is sent as a message of its own.",
            "无需处理；回答会作为单独的消息发送。",
        ),
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
        return SendError(code, f"{NOT_FROM}{address_in(message)}", again_in_s=None)
    return SendError(code, message[:160], again_in_s=PAUSE_S.get(known.then) if known else None)


def unreachable(message: str = "the platform cannot be reached") -> SendError:
    """It may have taken the call: another try sends the same bytes, which the platform then drops."""
    return SendError(UNREACHABLE, message, again_in_s=1.0)


def address_in(message: str) -> str:
    """The caller's address as error 60020 names it."""
    found = ADDRESS.search(message)
    return found[1].rstrip(".") if found else "unknown"


def advice(error: SendError) -> Said:
    """What an operator reads: cause and fix, with what the error itself says."""
    if error.code == UNREACHABLE:
        return Said(
            f"The WeCom API cannot be reached from this server: {error}.",
            "本服务器连接不上企业微信的接口。",
        )
    known = BY_CODE.get(error.code)
    if known is None:
        return Said(
            f"The WeCom API answers with the code {error.code}: {error}.",
            f"企业微信的接口返回错误码 {error.code}：{error}。",
        )
    said = Said()
    if error.code == IP_FAULT:
        named = str(error).removeprefix(NOT_FROM)
        said = Said(f" It is {named}.", f"地址是 {named}。")
    return Said(
        f"{known.cause.en} {known.fix.en}{said.en} (code {error.code})",
        f"{known.cause.zh}{known.fix.zh}{said.zh}（错误码 {error.code}）",
    )


def table() -> str:
    """The rows of docs/errors.md."""
    rows = (
        f"| {', '.join(_minus(code) for code in fault.codes)} | {fault.cause.en} | {fault.fix.en} |"
        f" {ACTIONS[fault.then]} |"
        for fault in FAULTS
    )
    head = ("| code | what it means | what to do | what Shenqiao does |", "|---|---|---|---|")
    return "\n".join((*head, *rows))


def table_zh() -> str:
    """The same codes for docs/wecom-setup_zh_Hans.md."""
    rows = (
        f"| {', '.join(_minus(code) for code in fault.codes)} | {fault.cause.zh} | {fault.fix.zh} |"
        for fault in FAULTS
    )
    return "\n".join(("| 错误码 | 原因 | 怎么办 |", "|---|---|---|", *rows))


def _minus(code: int) -> str:
    return str(code).replace("-", "−")
