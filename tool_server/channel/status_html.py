"""The status page as HTML: for a phone and for a desk, without scripts; used by `status_routes`."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, StrictUndefined, Template

from tool_server.channel.page_html import HTML_LANGUAGES
from tool_server.channel.status import Item
from tool_server.channel.status_words import PAGE, TITLES
from tool_server.words import Language

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #667085; --line: #e4e7ec; --paper: #f6f7f9; --card: #fff;
  --ok: #0f766e; --todo: #b42318; --note: #b54708; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --soft: #98a2b3; --line: #344054; --paper: #111418; --card: #1b2027; --ok: #5eead4;
    --todo: #fda29b; --note: #fec84b; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 44rem; padding: 1.25rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; overflow-wrap: anywhere;
  -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.25rem; line-height: 1.4; margin: 0 0 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; margin: 0 0 1rem;
  padding: 1rem; }
p { margin: 0 0 .75rem; } section > :last-child { margin-bottom: 0; }
code { background: var(--paper); border-radius: .25rem; font: .9em ui-monospace, Menlo, Consolas, monospace;
  padding: .1rem .3rem; }
small { color: var(--soft); display: block; font-size: .875rem; }
.url { background: var(--paper); border-radius: .5rem; display: block; font: .9375rem/1.5 ui-monospace, Menlo, Consolas,
  monospace; margin: .25rem 0 .5rem; padding: .625rem .75rem; user-select: all; -webkit-user-select: all; }
.sum { font-size: 1.125rem; font-weight: 600; } .sum.ok { color: var(--ok); } .sum.todo { color: var(--todo); }
ul { list-style: none; margin: 0; padding: 0; }
li { border-top: 1px solid var(--line); display: flex; gap: .75rem; padding: .75rem 0; }
li:first-child { border-top: 0; padding-top: 0; } li:last-child { padding-bottom: 0; }
li > b { flex: 0 0 1.25rem; text-align: center; }
li.ok > b { color: var(--ok); } li.todo > b { color: var(--todo); } li.note > b { color: var(--note); }
li small { margin-top: .125rem; } li.todo small { color: var(--ink); }
form { display: flex; flex-wrap: wrap; gap: .5rem; }
input, button { border: 1px solid var(--line); border-radius: .5rem; font: inherit; min-height: 2.75rem;
  padding: .5rem .75rem; }
input { background: var(--paper); color: inherit; flex: 1 1 12rem; min-width: 0; }
button { background: var(--ok); border-color: var(--ok); color: var(--card); font-weight: 600; }
.bad { color: var(--todo); }
"""
# What stands between backticks is to be typed as it is.
TEMPLATE = """{% macro text(said) %}
{% for part in said.split("`") %}{% if loop.index is even %}<code>{{ part }}</code>{% else %}{{ part }}{% endif %}
{% endfor %}
{% endmacro %}
<!doctype html>
<html lang="{{ html_language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{ say("title") }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<h1>{{ say("title") }}</h1>
<section>
<small>{{ say("url") }}</small>
<span class="url">{{ shown.url }}</span>
{% if shown.url.startswith("http:") %}
<small>{{ say("https") }}</small>
{% endif %}
</section>
{% if shown.items %}
<section>
<p class="sum {{ 'todo' if missing else 'ok' }}">
{{ say("missing").format(missing) if missing else say("all_well") }}</p>
<ul>
{% for item in shown.items %}
<li class="{{ item.state }}"><b>{{ marks[item.state] }}</b><div>{{ titles[item.name].of(language) }}
<small>{{ text(item.said.of(language)) }}</small></div></li>
{% endfor %}
</ul>
</section>
{% elif shown.code %}
<section><p class="bad">
{{ text(say("no_account").format(shown.names | join(", ")) if shown.names else say("no_accounts")) }}</p></section>
{% endif %}
<section>
{% if not shown.code %}
<p>{{ text(say("who")) }}</p>
{% if shown.wrong %}
<p class="bad">{{ say("bad_code") }}</p>
{% endif %}
{% endif %}
<form method="post" action="status">
{% if shown.code %}
<input type="hidden" name="code" value="{{ shown.code }}">
<button>{{ say("again") }}</button>
{% else %}
<input name="code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="64" required
 placeholder="XXXX-XXXX-XXXX-XXXX" aria-label="{{ say("code") }}">
<button>{{ say("show") }}</button>
{% endif %}
</form>
</section>
</body>
</html>
"""
MARKS = {"ok": "✓", "todo": "✗", "note": "!"}


@dataclass(frozen=True)
class Shown:
    """What a page shows; without a code nothing but the URL and the form."""

    url: str
    code: str = ""
    wrong: bool = False  # a code was entered, and it is none
    items: tuple[Item, ...] = ()
    names: tuple[str, ...] = ()  # the accounts that there are, where the one asked for is not


def render(shown: Shown, language: Language) -> str:
    """The page; nothing in it is HTML but the template."""
    return _template().render(
        shown=shown,
        language=language,
        html_language=HTML_LANGUAGES[language],
        missing=sum(item.state == "todo" for item in shown.items),
        say=lambda name: PAGE[name].of(language),
        titles=TITLES,
        marks=MARKS,
        style=STYLE,
    )


@cache
def content_security_policy() -> str:
    """Nothing but this page's own style, and its form's way back to it."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


@cache
def _template() -> Template:
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return page.from_string(TEMPLATE)
