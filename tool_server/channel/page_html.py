"""A whole answer as a page for a phone: text, tables and code, nothing that runs or loads; used by `page_routes`."""

import base64
import hashlib
import time
from collections.abc import Sequence
from functools import cache
from html import escape

from jinja2 import Environment, StrictUndefined, Template
from markdown_it.token import Token

from tool_server.channel.links import canonical
from tool_server.channel.markdown import parse_tokens, parser
from tool_server.channel.page import Page
from tool_server.words import Language, say

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #667085; --line: #e4e7ec; --paper: #fff; --sheet: #f6f7f9;
  --link: #0f766e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #98a2b3; --line: #344054; --paper: #111418; --sheet: #1b2027; --link: #5eead4; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 44rem; padding: 1.25rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.75 system-ui, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
header { border-bottom: 1px solid var(--line); color: var(--soft); font-size: .875rem; margin-bottom: 1.25rem;
  padding-bottom: .75rem; }
header strong { color: var(--ink); display: block; font-size: 1.125rem; }
main > :first-child { margin-top: 0; }
h1, h2, h3, h4, h5, h6 { line-height: 1.4; margin: 1.75rem 0 .5rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.25rem; } h3 { font-size: 1.125rem; } h4, h5, h6 { font-size: 1.0625rem; }
p, ul, ol, blockquote, pre, table { margin: 0 0 1rem; }
ul, ol { padding-left: 1.5rem; } li > ul, li > ol { margin: 0; } li { margin: .15rem 0; }
blockquote { border-left: 3px solid var(--line); color: var(--soft); margin-left: 0; padding-left: 1rem; }
blockquote > :last-child { margin-bottom: 0; }
code { background: var(--sheet); border-radius: .25rem; font: .9em/1.6 ui-monospace, Menlo, Consolas, monospace;
  padding: .1rem .3rem; }
pre { background: var(--sheet); border-radius: .5rem; overflow-x: auto; padding: .75rem 1rem; }
pre code { background: none; overflow-wrap: normal; padding: 0; }
table { border-collapse: collapse; display: block; font-size: .9375rem; line-height: 1.5; overflow-x: auto; }
th, td { border: 1px solid var(--line); min-width: 4.25rem; overflow-wrap: break-word; padding: .5rem .5rem;
  text-align: left; vertical-align: top; }
th { background: var(--sheet); font-weight: 600; }
hr { border: 0; border-top: 1px solid var(--line); margin: 1.5rem 0; }
a { color: var(--link); }
"""
TEMPLATE = """<!doctype html>
<html lang="{{ language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header><strong>{{ title }}</strong>{{ under }}</header>
<main>
{{ body | safe }}
</main>
</body>
</html>
"""
HTML_LANGUAGES = {"zh": "zh-CN", "en": "en"}


def render(page: Page) -> str:
    """The page of an answer; its text is markdown that `markup` made safe, and it is escaped once more here."""
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(page.expires_at))
    return _page(
        page.language,
        say("page_title", page.language),
        say("page_until", page.language).format(until),
        html_of(page.text),
    )


def notice(name: str, language: Language) -> str:
    """A page with one sentence of ours."""
    return _page(language, say("page_title", language), "", f"<p>{escape(say(name, language))}</p>")


def html_of(markdown: str) -> str:
    """Markdown as HTML, every character of it escaped; pictures become links."""
    tokens = _standard(parse_tokens(markdown))
    return str(parser().renderer.render(tokens, parser().options, {}))


@cache
def content_security_policy() -> str:
    """Nothing but this page's own style."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _standard(tokens: Sequence[Token]) -> list[Token]:
    """Nodes that markdown-it's own renderer does not know, as those that it does; pictures as links."""
    plain: list[Token] = []
    for token in tokens:
        match token.type:
            case "text_special":
                plain.append(Token("text", "", 0, content=token.content))
            case "math":
                plain.append(Token("code_inline", "code", 0, content=token.content))
            case "math_block":
                plain.append(Token("code_block", "code", 0, content=token.content))
            case "softbreak":  # whoever writes for a chat means the lines that they break
                plain.append(Token("hardbreak", "br", 0))
            case "bare_url":
                plain += _linked(token.content, token.content)
            case "image":
                url = str(token.attrs.get("src", ""))
                plain += _linked(url, token.content or url)
            case "link_open":
                plain.append(_opening(str(token.attrs.get("href", ""))))
            case _:
                token.children = token.children and _standard(token.children)
                plain.append(token)
    return plain


def _linked(url: str, text: str) -> list[Token]:
    """A link with a text."""
    return [_opening(url), Token("text", "", 0, content=text), Token("link_close", "a", -1)]


def _opening(url: str) -> Token:
    """An `<a>`, without a target where the address is none that a browser should follow."""
    known = canonical(url)
    attributes: dict[str, str | int | float] = {"href": known, "rel": "noopener noreferrer"}
    return Token("link_open", "a", 1, attrs=attributes if known else {})


def _page(language: Language, title: str, under: str, body: str) -> str:
    return _template().render(
        language=HTML_LANGUAGES[language], title=title, under=under, body=body, style=STYLE
    )


@cache
def _template() -> Template:
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return page.from_string(TEMPLATE)
