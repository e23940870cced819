"""Markdown as models write it, parsed into a tree; the renderers of `markup` walk it.

CommonMark with tables (each begins with a bar), without what models do not mean when they write it: headings by a line
below, code by indents, link definitions, blocks of HTML. Known tags of HTML go, unknown ones are text; mathematics
stays as it was written.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from tool_server.channel.links import CLOSING, SCHEME, TAIL

# What no surface shows well: controls, halves of surrogate pairs, text that turns the direction of others around.
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)
TAGS = re.compile(
    "a|abbr|address|article|aside|audio|b|bdi|bdo|big|blockquote|body|br|button|caption|center|cite|code|col"
    "|colgroup|dd|del|details|dfn|div|dl|dt|em|embed|figcaption|figure|font|footer|form|frame|frameset|h1|h2|h3"
    "|h4|h5|h6|head|header|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|mark|marquee|math|meta"
    "|nav|noscript|object|ol|option|p|param|picture|pre|q|s|samp|script|section|select|small|source|span|strike"
    "|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr|track|tt|u"
    "|ul|var|video|wbr",
    re.IGNORECASE,
)
TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)")
HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
MATH = re.compile(
    r"\$\$(?!\$).{1,1000}?\$\$|\$(?![\s$])[^$\n]{0,300}?(?<![\s\\])\$(?!\d)"
    r"|\\\(.{1,1000}?\\\)|\\\[.{1,1000}?\\\]",
    re.DOTALL,
)
MATH_LINES = 60
# Nothing that a surface could take for more than characters.
NO_MATH = re.compile(r"\]\(|://|</?[A-Za-z!]|`")
STRONG = re.compile(r"\*\*(?![\s*])([^*\n]{1,300})(?<!\s)\*\*(?!\*)")
BARE_TAIL = re.compile(f"{TAIL}*")
BARE_SCHEME = re.compile(rf"{SCHEME}\Z", re.IGNORECASE)
LONGEST_SCHEME = 8


def parse(text: str) -> SyntaxTreeNode:
    """The tree of a text; besides markdown-it's nodes there are `math`, `math_block` and `bare_url`."""
    return SyntaxTreeNode(parse_tokens(text))


def parse_tokens(text: str) -> list[Token]:
    """The same as markdown-it's list of tokens."""
    tokens = parser().parse(text)
    for token in tokens:
        if token.children:
            token.children = list(_without_html(token.children))
    return tokens


def clean(text: str) -> str:
    """Without hidden characters; one kind of line break, a tab where there was one."""
    return HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


@cache
def parser() -> MarkdownIt:
    """The one parser; it holds nothing of what it has parsed."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.disable(["reference", "lheading", "code", "html_block", "text_join"])
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.block.ruler.before(
        "fence", "math_block", _math_block, {"alt": ["paragraph", "blockquote", "list"]}
    )
    parser.inline.ruler.before("escape", "math", _math)
    parser.inline.ruler.before("escape", "bare_url", _bare_url)
    parser.inline.ruler.before("emphasis", "strong_beside_han", _strong)
    return parser


def _table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Tables begin with a bar: a sentence that holds one never becomes a head when the next line comes."""
    begins = state.src.startswith("|", state.bMarks[first] + state.tShift[first])
    return begins and table(state, first, last, silent)


def _math(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\":
        return False
    found = MATH.match(state.src, state.pos, state.posMax)
    if found is None or NO_MATH.search(found[0]):
        return False
    if not silent:
        state.push("math", "", 0).content = re.sub(r"\s*\n\s*", "\n", found[0])
    state.pos = found.end()
    return True


def _math_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    lines = []
    for line in range(first, min(last, first + MATH_LINES)):
        if state.sCount[line] < state.blkIndent and line > first and not state.isEmpty(line):
            return False
        lines.append(state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]])
        closing = {"$$": "$$", "\\[": "\\]"}.get(lines[0].strip()[:2], "")
        if not closing or (len(lines) == 1 and lines[0].strip() != lines[0].strip()[:2]):
            return False
        if len(lines) > 1 and lines[-1].rstrip() == closing:
            break
    else:
        return False
    content = "\n".join(part.strip() for part in lines if part.strip())
    if NO_MATH.search(content):
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.content, token.map = content, [first, line + 1]
        state.line = line + 1
    return True


def _bare_url(state: StateInline, silent: bool) -> bool:
    """An address without any marks; found at its colon, as the scheme's letters are plain text."""
    if not state.src.startswith("://", state.pos):
        return False
    before = BARE_SCHEME.search(state.src[max(0, state.pos - LONGEST_SCHEME) : state.pos])
    tail = BARE_TAIL.match(state.src, state.pos, state.posMax)
    if before is None or tail is None or not state.pending.endswith(before[0]):
        return False
    rest = tail[0].rstrip(CLOSING)
    if not silent:
        state.pending = state.pending[: -len(before[0])]
        state.push("bare_url", "", 0).content = before[0] + rest
    state.pos += max(len(rest), 1)
    return True


def _strong(state: StateInline, silent: bool) -> bool:
    """`**“年假”**是`: CommonMark sees no emphasis where punctuation meets a letter; people who write Chinese do."""
    found = STRONG.match(state.src, state.pos, state.posMax)
    if found is None or silent:
        return False
    around = (state.src[state.pos - 1 : state.pos], state.src[found.end() : found.end() + 1])
    if all(letter.isascii() for letter in around):
        return False
    last = state.posMax
    state.pos, state.posMax = found.start(1), found.end(1)
    state.push("strong_open", "strong", 1).markup = "**"
    state.md.inline.tokenize(state)
    state.push("strong_close", "strong", -1).markup = "**"
    state.pos, state.posMax = found.end(), last
    return True


def _without_html(tokens: Sequence[Token]) -> Iterator[Token]:
    """Line breaks and links stay, as markdown; other known tags and comments go, unknown ones become text."""
    closers = dict(_links(tokens))
    closing = set(closers.values())
    for at, token in enumerate(tokens):
        if token.type != "html_inline":
            yield token
        elif at in closers:
            yield _link("link_open", 1, _href(token.content))
        elif at in closing:
            yield _link("link_close", -1, "")
        elif (name := _tag(token.content)) == "br":
            yield Token("hardbreak", "br", 0)
        else:
            kept = name and not TAGS.fullmatch(name)
            yield Token("text", "", 0, content=token.content if kept else "")


def _links(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """Pairs of `<a href>` and `</a>` that hold whole nodes and no other link."""
    start = -1
    depth = 0
    for at, token in enumerate(tokens):
        if token.type == "html_inline" and _tag(token.content) == "a":
            if token.content.startswith("</") and start >= 0 and depth == 0:
                yield start, at
            opens = not token.content.startswith("</") and bool(_href(token.content))
            start, depth = (at, 0) if opens else (-1, 0)
            continue
        depth += token.nesting
        if depth < 0 or token.type == "link_open":
            start = -1


def _link(kind: str, nesting: int, href: str) -> Token:
    return Token(kind, "a", -1 if nesting < 0 else 1, attrs={"href": href} if href else {})


def _href(tag: str) -> str:
    found = HREF.search(tag)
    return next((part for part in found.groups() if part), "") if found else ""


def _tag(html: str) -> str:
    """The tag's name; empty for comments and the like."""
    found = TAG.match(html)
    return found[1].lower() if found else ""
