"""HTML: the page's title, its headings, lists and tables; without scripts, navigation and what is hidden."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.decode import decode
from tool_server.knowledge.parse.file import File, one_line
from tool_server.knowledge.parse.outline import Outline, titled
from tool_server.knowledge.parse.rows import Counter, table_text
from tool_server.knowledge.parse.unreadable import Unreadable

CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{1,40})", re.IGNORECASE)
CHARSET_REACH = 4096
# The parser's time goes with the square of the depth; a page that people made is some dozens deep.
DEPTH = 3000
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]{0,30})")
# They stand alone, or are closed by the next of their kind, so that many without an end are not deep.
SHALLOW = frozenset(
    {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "dt",
        "dd",
        "tr",
        "td",
        "th",
        "option",
        "thead",
        "tbody",
    }
)
DROPPED = frozenset(
    {
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "math",
        "nav",
        "footer",
        "aside",
        "form",
        "iframe",
        "object",
        "head",
        "button",
        "select",
        "dialog",
    }
)
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
HEADING = re.compile(r"h([1-6])")
BLOCKS = frozenset(
    {
        "p",
        "div",
        "section",
        "article",
        "main",
        "header",
        "li",
        "dt",
        "dd",
        "blockquote",
        "pre",
        "figure",
        "figcaption",
        "ul",
        "ol",
        "dl",
        "hr",
        "address",
        "details",
        "summary",
        "table",
        "tr",
        "td",
        "th",
    }
)


def read(file: File) -> Iterator[Document]:
    """One document."""
    named = CHARSET.search(file.content[:CHARSET_REACH])
    text = decode(file.content, named[1].decode("ascii", "ignore") if named else "")
    if _depth(text) > DEPTH:
        raise Unreadable("it is nested too deep")
    tree = LexborHTMLParser(text)
    head = tree.css_first("title", default=None)
    page = _Page(Counter(file.limits))
    if tree.root is not None:
        page.walk(tree.root)
    title, sections = titled(page.outline.sections(), one_line(head.text()) if head else "")
    author = tree.css_first('meta[name="author"]', default=None)
    metadata = {"author": author.attributes.get("content") if author is not None else None}
    yield file.document(sections, kind="html", title=title, metadata=metadata)


class _Page:
    """The text of a page, gathered from its beginning to its end."""

    def __init__(self, counter: Counter) -> None:
        self.outline = Outline()
        self._counter = counter
        self._inline: list[str] = []
        self._mark = ""  # of the item of a list that begins

    def walk(self, root: LexborNode) -> None:
        """Without recursion: how deep a page is, is a stranger's choice."""
        stack: list[tuple[LexborNode, bool]] = [(root, False)]
        while stack:
            node, left = stack.pop()
            if left:
                self._flush()
                continue
            if node.is_text_node:
                self._inline.append(node.text_content or "")
                continue
            if node.is_comment_node or self._taken(node):
                continue
            if node.tag == "br":
                self._flush()
            if node.tag in BLOCKS:
                self._flush()
                self._mark = "- " if node.tag == "li" else self._mark
                stack.append((node, True))
            stack.extend((child, False) for child in reversed(list(node.iter(include_text=True))))
        self._flush()

    def _taken(self, node: LexborNode) -> bool:
        """Whether this node is dropped, or taken as a whole."""
        if node.tag in DROPPED or _is_hidden(node):
            return True
        level = HEADING.fullmatch(node.tag or "")
        if level:
            self._flush()
            self.outline.heading(int(level[1]), node.text(separator=" "))
            return True
        if node.tag == "table" and not node.css("table table"):
            self._flush()
            self.outline.paragraph(table_text(_cells(node), self._counter))
            return True
        return False

    def _flush(self) -> None:
        text = one_line("".join(self._inline))
        self._inline.clear()
        if text:
            self.outline.line(self._mark + text)
            if not self._mark:
                self.outline.line("")
            self._mark = ""


def _cells(table: LexborNode) -> list[list[str]]:
    return [
        [one_line(cell.text(separator=" ")) for cell in row.css("td, th")]
        for row in table.css("tr")
    ]


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if attributes.get("role") in ("navigation", "contentinfo"):
        return True
    return bool(HIDDEN.search(attributes.get("style") or ""))


def _depth(text: str) -> int:
    """How deep elements may be nested, at most: those that are opened and not closed."""
    depth = deepest = 0
    for match in TAG.finditer(text):
        if match[2].lower() not in SHALLOW:
            depth += -1 if match[1] else 1
            deepest = max(deepest, depth)
    return deepest
