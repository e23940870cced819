"""What the status page says to administrators, in English and Chinese; the checks' own advice stands with them."""

import time

from tool_server.channel.said import Said

TITLES: dict[str, Said] = {
    "account": Said("Account", "账号"),
    "worker": Said("Worker process", "后台进程"),
    "platform": Said("WeCom takes the account's secret", "企业微信接受账号的 Secret"),
    "app": Said("Trusted IP, and the app", "企业可信IP与应用"),
    "visible": Said("Visible range", "可见范围"),
    "people": Said("Departments of people", "成员的部门"),
    "public": Said("Public address", "公网地址"),
    "address": Said("The callback URL answers", "回调 URL 可以访问"),
    "callback": Said("A test message arrives", "试发的消息能够到达"),
    "verified": Said("Callback URL saved in the WeCom console", "回调 URL 已在企业微信后台保存"),
    "connection": Said("Long connection", "长连接"),
    "dify": Said("Dify app", "Dify 应用"),
    "ticket": Said("Rights of whoever asks", "提问者的权限"),
    "files": Said("Pictures and files", "图片和文件"),
    "message": Said("Messages", "消息"),
    "answer": Said("Answers", "回答"),
    "failed": Said("Without an answer", "没有得到回答"),
}

WORDS: dict[tuple[str, str], Said] = {
    ("account", "on"): Said("It takes messages.", "可以接收消息。"),
    ("account", "off"): Said(
        "It is switched off: `shenqiao account enable NAME`.",
        "已停用：运行 `shenqiao account enable NAME`。",
    ),
    ("worker", "runs"): Said("It runs.", "正在运行。"),
    ("worker", "gone"): Said(
        "None runs on this machine: messages are kept and not answered. Start `shenqiao serve`.",
        "本机没有运行：消息会保存，但不会回答。请启动 `shenqiao serve`。",
    ),
    ("public", "callback"): Said(
        "Known for callbacks only: long answers have no page of their own. Where Dify's endpoint is the only way in:"
        " `shenqiao account address NAME URL`.",
        "只知道回调地址：长回答没有单独的页面。若只能经由 Dify 的端点访问，请运行"
        " `shenqiao account address NAME URL`。",
    ),
    ("public", "unknown"): Said(
        "Not told: callbacks are not tried, long answers have no page. Where Dify's endpoint is the only way in:"
        " `shenqiao account address NAME URL`; else set SHENQIAO_CHANNEL_PUBLIC_URL.",
        "未设置：无法试发回调，长回答没有单独的页面。若只能经由 Dify 的端点访问，请运行"
        " `shenqiao account address NAME URL`；否则设置 SHENQIAO_CHANNEL_PUBLIC_URL。",
    ),
    ("verified", "never"): Said(
        "Not yet: enter the URL above in the WeCom console and save it there.",
        "还没有：请把上面的 URL 填入企业微信后台并保存。",
    ),
    ("message", "none"): Said(
        "None in the last seven days: write to it from your phone.",
        "最近七天没有：请用手机给它发一条消息。",
    ),
    ("answer", "none"): Said(
        "None in the last seven days: what became of a message tells `shenqiao trace MSGID`.",
        "最近七天没有：运行 `shenqiao trace MSGID` 查看消息的经过。",
    ),
    ("failed", "some"): Said(
        "{} in the last seven days: `shenqiao letters list`.",
        "最近七天有 {} 条：运行 `shenqiao letters list`。",
    ),
}

PAGE: dict[str, Said] = {
    "title": Said("Shenqiao in WeChat", "深桥 · 微信接入"),
    "url": Said("Callback URL, to copy into the WeCom console", "回调 URL，复制到企业微信后台"),
    "https": Said(
        "If Dify shows this endpoint with another beginning, such as https://, take that one.",
        "如果 Dify 中显示的端点地址开头不同（例如 https://），请以 Dify 显示的为准。",
    ),
    "who": Said(
        "What is still missing is shown to administrators. Run `shenqiao account code` on the tool server and enter"
        " the code here.",
        "缺少哪些设置只对管理员显示。请在工具服务器上运行 `shenqiao account code`，在此输入得到的代码。",
    ),
    "code": Said("Code", "代码"),
    "show": Said("Show", "查看"),
    "again": Said("Look again", "重新检查"),
    "bad_code": Said("This code is wrong or too old.", "代码不对，或已过期。"),
    "all_well": Said("Nothing is missing.", "一切就绪。"),
    "missing": Said("{} still to do", "还有 {} 项待处理"),
    "no_account": Said(
        "The tool server has no account with the name in this endpoint's form. It has: {}.",
        "工具服务器上没有端点表单里填写的账号。现有账号：{}。",
    ),
    "no_accounts": Said(
        "The tool server has no account yet: `shenqiao account add NAME FILE`.",
        "工具服务器上还没有账号：运行 `shenqiao account add NAME FILE`。",
    ),
}

CONNECTIONS: dict[str, Said] = {
    "up": Said("It is up.", "已建立。"),
    "connecting": Said("It is being made.", "正在建立。"),
    "kicked": Said(
        "Somebody else has connected this bot, so we stay away. Stop the other program, then"
        " `shenqiao account connect NAME`.",
        "另一个程序占用了这个机器人的连接，所以不再重连。停止那个程序后运行 `shenqiao account connect NAME`。",
    ),
    "refused": Said(
        "The platform refuses bot id or secret: copy both from the bot's page.",
        "平台不接受 Bot ID 或 Secret：请从机器人页面重新复制。",
    ),
}
NOT_CONNECTED = Said("No worker has connected this bot yet.", "还没有后台进程连接这个机器人。")


def connection(state: str) -> Said:
    """How a bot's long connection stands."""
    return CONNECTIONS.get(state, NOT_CONNECTED)


def when(at: float) -> Said:
    """The newest time."""
    shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    return Said(f"Last: {shown}", f"最近：{shown}")


def seconds(took: float) -> Said:
    """How long the newest answer took."""
    return Said(f"The app answers in {took:.1f} s.", f"应用在 {took:.1f} 秒内回答。")
