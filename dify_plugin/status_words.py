"""What the status page says where the tool server cannot say it itself: the form is wrong, or nobody is there.

The page's address is public, so nothing that was entered is shown on it.
"""

from html import escape
from typing import NamedTuple

from werkzeug import Request, Response


class Said(NamedTuple):
    """One sentence in both languages."""

    en: str
    zh: str


TITLE = Said("Shenqiao in WeChat", "深桥 · 微信接入")
ADVICE = Said(
    "Change this endpoint's form in Dify (Plugins → Shenqiao → Endpoints), then load this page again.",
    "请在 Dify 中修改这个端点的表单（插件 → 深桥 → 端点），然后刷新本页。",
)
WORDS: dict[str, Said] = {
    "url_quotes": Said(
        "The tool server's URL has quotation marks: enter it without them.",
        "工具服务器地址里有引号：请去掉引号。",
    ),
    "url_shape": Said(
        "The tool server's URL is none: it begins with http:// or https://, then comes a host and, where it is not"
        " 80 or 443, a port, such as http://shenqiao.example:8000.",
        "工具服务器地址不正确：应以 http:// 或 https:// 开头，然后是主机和端口，例如 http://shenqiao.example:8000。",
    ),
    "account_empty": Said(
        "The account's name is missing: enter the NAME of `shenqiao account add NAME FILE`.",
        "缺少账号名称：请填写 `shenqiao account add NAME FILE` 中的 NAME。",
    ),
    "account_shape": Said(
        "The account's name cannot be one: it has small letters, digits, - and _ only, no quotation marks, no spaces."
        " `shenqiao account list` names all accounts.",
        "账号名称不正确：只能有小写字母、数字、- 和 _，不能有引号和空格。运行 `shenqiao account list` 查看所有账号。",
    ),
    "away": Said(
        "Nobody answers at the tool server's URL. Does `shenqiao serve` run? Does the machine of Dify's plugin daemon"
        " reach it (in a container, 127.0.0.1 is the container itself)? Is it http where https was entered?",
        "工具服务器地址没有响应。`shenqiao serve` 在运行吗？Dify 的插件守护进程能访问它吗"
        "（在容器里，127.0.0.1 指容器自己）？是否把 http 写成了 https？",
    ),
    "path": Said(
        "What answers at the tool server's URL is not its WeChat channel. The URL goes on after host and port: enter"
        " it without a path, unless a proxy wants one.",
        "在该地址响应的不是工具服务器的微信接入。地址在主机和端口之后还有路径：请去掉路径，除非代理需要它。",
    ),
    "other": Said(
        "What answers at the tool server's URL is not its WeChat channel: is it another program's port, or is the"
        " channel switched off (SHENQIAO_CHANNEL_ENABLED)? If the URL is right, the tool server's log says more.",
        "在该地址响应的不是工具服务器的微信接入：是别的程序的端口，还是接入已关闭（SHENQIAO_CHANNEL_ENABLED）？"
        "如果地址没错，请看工具服务器的日志。",
    ),
}
PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
<p><strong>{what}</strong></p>
<p>{advice}</p>
</body>
</html>
"""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


def explain(request: Request, word: str) -> Response:
    """A page with one sentence, in the browser's language."""
    english = request.accept_languages.best_match(["zh", "en"], "zh") == "en"
    title, what, advice = (
        escape(said.en if english else said.zh) for said in (TITLE, WORDS[word], ADVICE)
    )
    language = "en" if english else "zh-CN"
    page = PAGE.format(language=language, title=title, what=what, advice=advice)
    return Response(page, content_type="text/html; charset=utf-8", headers=HEADERS)
