"""A public document as a page for a phone: text and headings, nothing that runs or loads; used by `documents`."""

import base64
import hashlib
from functools import cache

from jinja2 import Environment, StrictUndefined, Template

from tool_server.knowledge.document import StoredDocument
from tool_server.knowledge.present import clean_line
from tool_server.knowledge.text import Window

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #6b7280; --line: #e5e7eb; --paper: #fff; --link: #0f766e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --soft: #9ca3af; --line: #374151; --paper: #111418; --link: #5eead4; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 42rem; padding: 1.25rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.75 system-ui, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
header { border-bottom: 1px solid var(--line); margin-bottom: 1.25rem; padding-bottom: .75rem; }
h1 { font-size: 1.4rem; line-height: 1.35; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; line-height: 1.4; margin: 1.75rem 0 .5rem; }
p { margin: 0 0 1rem; white-space: pre-line; }
small { color: var(--soft); font-size: .85rem; }
nav { border-top: 1px solid var(--line); display: flex; justify-content: space-between; margin-top: 2rem;
  padding-top: 1rem; }
a { color: var(--link); display: inline-block; padding: .5rem 0; }
"""
TEMPLATE = """<!doctype html>
<html lang="{{ language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header><h1>{{ title }}</h1><small>{{ under }}</small></header>
<main>
{% for heading, page, text in parts %}
{% if heading %}<h2>{{ heading }}</h2>{% endif %}
{% if page %}<small>{{ words.page.format(page) }}</small>{% endif %}
<p>{{ text }}</p>
{% endfor %}
</main>
{% if first or more is not none %}
<nav><span>{% if first %}<a href="?from=0">{{ words.first }}</a>{% endif %}</span>
<span>{% if more is not none %}<a href="?from={{ more }}">{{ words.more }}</a>{% endif %}</span></nav>
{% endif %}
</body>
</html>
"""

WORDS = {
    "zh": {"page": "第 {} 页", "first": "回到开头", "more": "继续阅读", "base": "知识库"},
    "en": {
        "page": "Page {}",
        "first": "To the beginning",
        "more": "Read on",
        "base": "Knowledge base",
    },
}
MISSING = "没有这份文档，或者它不公开。There is no such document, or it is not public."


def render(document: StoredDocument, window: Window) -> str:
    """One window of a document."""
    language = document.language or "en"
    words = WORDS[language]
    return _template().render(
        language=language,
        title=clean_line(document.title),
        under=f"{words['base']} {document.base}",
        parts=_parts(window),
        first=bool(window.passages) and window.passages[0].ordinal > 0,
        more=window.next_offset,
        words=words,
        style=STYLE,
    )


def not_found() -> str:
    """The same for a document that is not there and for one that is not public."""
    return _template().render(
        language="zh", title="404", under=MISSING, parts=(), first=False, more=None,
        words=WORDS["zh"], style=STYLE,
    )  # fmt: skip


@cache
def content_security_policy() -> str:
    """Nothing but this page's own style."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


@cache
def _template() -> Template:
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return page.from_string(TEMPLATE)


def _parts(window: Window) -> list[tuple[str, int | None, str]]:
    """Headings and page numbers where they change."""
    found: list[tuple[str, int | None, str]] = []
    heading, page = "", None
    for part in window.parts():
        found.append(
            (
                part.heading if part.heading != heading else "",
                part.page if part.page != page else None,
                part.text,
            )
        )
        heading, page = part.heading, part.page
    return found
