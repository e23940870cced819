"""An answer in the markup of its surface: `full` (safe, well-formed markdown), `subset` (WeCom's few marks), `plain`.

Called by `answer`. What is rendered once stays as it is: `render(render(x)) == render(x)`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, override

from markdown_it.tree import SyntaxTreeNode

from tool_server.channel.links import Links
from tool_server.channel.markdown import clean, parse
from tool_server.channel.tables import table
from tool_server.words import Language, say

NO_LINKS = Links()
# Escapes that mean something to a reader of markdown; a superfluous one goes.
MARKS = frozenset("\\`*_[]<>~|#&$!")
# What two passes do not settle (marks that only came to stand together), a few more do.
PASSES = 8
# Letters, digits and signs that are no marks: code of these needs nothing around it.
BARE_CODE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;/@%='-")
TAG_LIKE = re.compile(r"<(?=[A-Za-z/!?])")
SIGNS = str.maketrans("*<`", "＊＜｀")
LOOKALIKES = str.maketrans("[]<>*`~|\\", "［］‹›＊'～｜＼")
INFO = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+#.-_")

type Node = SyntaxTreeNode
type Markup = Literal["plain", "subset", "full"]


@dataclass(frozen=True)
class Style:
    """How an answer looks: its markup, whether `<a>` works in plain text, which links it may hold."""

    markup: Markup
    language: Language = "zh"
    links: Links = NO_LINKS
    anchors: bool = False


def render(text: str, style: Style) -> str:
    """The text for people; markdown in, the surface's markup out."""
    renderer = RENDERERS[style.markup](style)
    shown = clean(text).strip()
    for _ in range(PASSES):
        before, shown = shown, renderer.blocks(parse(shown).children)
        if shown == before:
            break
    return shown


def look_alike(words: str) -> str:
    """Words as one line of markdown that means nothing but them: its signs become others that look like them."""
    return " ".join(words.translate(LOOKALIKES).split())


class Full:
    """Markdown, made anew from its tree: nothing left open, no HTML, no link that is not allowed."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._left_out = say("link_left_out", style.language)

    def blocks(self, nodes: Sequence[Node], between: str = "\n\n") -> str:
        """Blocks, one below the other."""
        parts: list[str] = []
        kinds: list[str] = []
        for node in nodes:
            if shown := self.block(node):
                # A nested list stands directly below its item's text.
                tight = kinds and kinds[-1] == "paragraph" and node.type.endswith("_list")
                parts += [] if not parts else ["\n" if tight and between == "\n" else "\n\n"]
                parts.append(shown)
                kinds.append(node.type)
        return "".join(parts)

    def block(self, node: Node) -> str:
        match node.type:
            case "paragraph":
                return self.inline(node.children)
            case "heading":
                return self.heading(int(node.tag[1]), _line(self.inline(node.children)))
            case "bullet_list" | "ordered_list":
                return self.list(node)
            case "blockquote":
                lines = self.blocks(node.children).split("\n")
                return "\n".join(f"> {line}".rstrip() for line in lines)
            case "fence":
                return self.code(node.content, node.markup + _language(node.info), node.markup)
            case "table":
                return self.table(*_cells(self, node))
            case "math_block":
                return node.content
            case "hr":
                return self.rule()
        return self.inline(node.children)

    def list(self, node: Node) -> str:
        """All lists are tight, so that one that grows never changes what was shown of it."""
        start = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
        items = []
        for at, item in enumerate(node.children):
            mark = "- " if start is None else f"{start + at}. "
            body = self.blocks(item.children, between="\n").replace("\n", "\n" + " " * len(mark))
            items.append("\n".join(line.rstrip() for line in (mark + body).split("\n")))
        return "\n".join(items)

    def inline(self, nodes: Sequence[Node]) -> str:
        """Nodes of one paragraph; texts that stand together are one, so that no address hides in parts."""
        parts = []
        for kind, group in groupby(nodes, key=lambda node: node.type):
            if kind == "text":
                parts.append(self.text("".join(node.content for node in group)))
            else:
                parts += [self.span(node) for node in group]
        return trimmed("".join(parts))

    def span(self, node: Node) -> str:
        """One node without others in it."""
        match node.type:
            case "text_special":
                return self.special(node.content, node.markup)
            case "bare_url":
                return self._style.links.scrub(node.content, self._left_out)
            case "softbreak":
                return "\n"
            case "hardbreak":
                return self.line_break()
            case "code_inline":
                return self.code_span(node.content)
            case "math":
                return node.content
        return self._around_nodes(node)

    def _around_nodes(self, node: Node) -> str:
        match node.type:
            case "link":
                return self._link(node)
            case "image":
                return self._image(node)
            case "strong":
                return self.strong(self.inline(node.children))
            case "em":
                return self.emphasis(self.inline(node.children), node.markup)
            case "s":
                return _around("~~", self.inline(node.children))
        return self.inline(node.children)

    def _link(self, node: Node) -> str:
        url = self._style.links.target(str(node.attrs.get("href", "")))
        text = self.inline(node.children)
        if not url or not text:
            return text or url
        return self.link(_line(text), url)

    def _image(self, node: Node) -> str:
        url = self._style.links.target(str(node.attrs.get("src", "")))
        alt = _line(self.inline(node.children))
        return self.image(alt, url) if url else self.missing_image(alt)

    def text(self, text: str) -> str:
        shown = self._style.links.scrub(text, self._left_out)
        return TAG_LIKE.sub("&lt;", shown)

    def special(self, content: str, markup: str) -> str:
        return markup if content in MARKS else content

    def line_break(self) -> str:
        return "  \n"

    def code_span(self, code: str) -> str:
        ticks = "`" * _free_run(code)
        padded = f" {code} " if code[:1] == "`" or code[-1:] == "`" else code
        return f"{ticks}{padded}{ticks}"

    def strong(self, text: str) -> str:
        return _around("**", text)

    def emphasis(self, text: str, mark: str) -> str:
        return _around(mark, text)

    def link(self, text: str, url: str) -> str:
        return url if text == url else f"[{text}]({url})"

    def image(self, alt: str, url: str) -> str:
        return f"![{alt}]({url})"

    def missing_image(self, alt: str) -> str:
        return say("picture", self._style.language).format(alt) if alt else ""

    def heading(self, level: int, text: str) -> str:
        return f"{'#' * level} {text}" if text else ""

    def code(self, code: str, opening: str, closing: str) -> str:
        """A block with the fence that it had: it is longer than all that the code holds."""
        return f"{opening}\n{code.rstrip()}\n{closing}"

    def rule(self) -> str:
        return "---"

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """Without padding, so that a table that grows never changes the rows above."""
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


class Plain(Full):
    """Text without marks, but for those that keep it legible: numbers and dashes of lists, `>`, fences of code."""

    @override
    def text(self, text: str) -> str:
        return self._style.links.scrub(text, self._left_out)

    @override
    def special(self, content: str, markup: str) -> str:
        """A sign that was meant as such must not come to mean something by standing alone."""
        return content.translate(SIGNS)

    @override
    def line_break(self) -> str:
        return "\n"

    @override
    def code_span(self, code: str) -> str:
        shown = self._style.links.scrub(_safe(code), self._left_out)
        bare = BARE_CODE.issuperset(shown) and shown[:1].isalpha() and shown[-1:].isalnum()
        return shown if bare else super().code_span(shown)

    @override
    def strong(self, text: str) -> str:
        return text

    @override
    def emphasis(self, text: str, mark: str) -> str:
        return text

    @override
    def link(self, text: str, url: str) -> str:
        if text == url:
            return url
        return f'<a href="{url}">{text}</a>' if self._style.anchors else f"{text} ({url})"

    @override
    def image(self, alt: str, url: str) -> str:
        return self.link(alt or url, url)

    @override
    def heading(self, level: int, text: str) -> str:
        return f"【{text.strip('【】')}】" if text else ""

    @override
    def code(self, code: str, opening: str, closing: str) -> str:
        shown = self._style.links.scrub(_safe(code), self._left_out)
        return super().code(shown, opening, closing)

    @override
    def rule(self) -> str:
        return "———"

    @override
    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        return table(head, rows)


class Subset(Plain):
    """WeCom's markdown (90236): headings, bold, links, code in a line, quotes; the rest as in plain text."""

    @override
    def code_span(self, code: str) -> str:
        return Full.code_span(self, code)

    @override
    def strong(self, text: str) -> str:
        return _around("**", text)

    @override
    def link(self, text: str, url: str) -> str:
        return Full.link(self, text, url)

    @override
    def heading(self, level: int, text: str) -> str:
        return Full.heading(self, level, text)

    @override
    def code(self, code: str, opening: str, closing: str) -> str:
        """There are no blocks: each line is code of its own."""
        lines = code.rstrip().expandtabs(4).split("\n")
        return "\n".join(self.code_span(line.rstrip()) if line.strip() else "" for line in lines)


RENDERERS: dict[Markup, type[Full]] = {"full": Full, "subset": Subset, "plain": Plain}


def _cells(renderer: Full, node: Node) -> tuple[list[str], list[list[str]]]:
    """The head and the rows, each as wide as the head."""
    lines = [
        [_line(renderer.inline(cell.children)) for cell in row.children]
        for part in node.children
        for row in part.children
    ]
    return lines[0], lines[1:]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _language(info: str) -> str:
    word = info.split(maxsplit=1)[0] if info.strip() else ""
    return word if INFO.issuperset(word) else ""


def _line(text: str) -> str:
    return " ".join(text.split("\n")).strip()


def trimmed(text: str) -> str:
    """Lines without space around them: at a line's beginning it would mean something else."""
    lines = text.split("\n")
    return "\n".join(line.strip() if at else line for at, line in enumerate(lines))


def _around(mark: str, text: str) -> str:
    return f"{mark}{text}{mark}" if text.strip() == text != "" else text


def _free_run(code: str) -> int:
    """How many ticks in a row the code does not hold."""
    run, longest = 0, 0
    for letter in code:
        run = run + 1 if letter == "`" else 0
        longest = max(longest, run)
    return longest + 1


def _safe(code: str) -> str:
    """Code that no surface takes for a link of its own."""
    return code.replace("<a ", "‹a ").replace("</a>", "‹/a>")
