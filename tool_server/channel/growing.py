"""What a growing answer may show: no more of its text than stays when the rest has come; called by `answer.partial`.

Everything up to the first thing that is not settled yet: an open mark, a link (whether it may be shown is known only
with the sources, at the end), a line that may still become a table's.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

from markdown_it.tree import SyntaxTreeNode

from tool_server.channel.links import BARE, NAKED
from tool_server.channel.markdown import clean, parse
from tool_server.channel.markup import Full, Style, trimmed

# Stands where nothing more may be shown; `clean` leaves none in a text.
HOLD = "\0"
# A line that ends so soon says not yet what it is.
UNDECIDED_LINE = re.compile(
    r"\s*(?:[-*+>#=|`~$:\\\s]*|\d{1,9}[.)]?|[`~]{3}.*|(?:[-*+>]\s*|\d{1,9}[.)]\s*)*\|.*)\Z"
)
# Marks of blocks that nothing stands behind yet.
BARE_MARKS = re.compile(
    r"(?:\A|\n)[ \t]*(?:[-*+>#]+|\d{1,9}[.)])?(?:[ \t]+(?:[-*+>#]+|\d{1,9}[.)]))*[ \t]*\Z"
)
OPEN = re.compile(
    r"`|\*+(?=\S|\Z)|(?<![A-Za-z0-9])_+(?=\S|\Z)|~+(?=\S|\Z)|<(?=[A-Za-z!/?]|\Z)"
    r"|\[(?![^\[\]]*\])|\[(?=[^\[\]]*\][(\[])"
)
# Nothing of the last word in letters: it may become an address; nor of what may become an escape or a link.
UNFINISHED = re.compile(
    r"(?:[!\\]|\[[^\[\]]*\]|&[#\w]{0,32}|\s#*|(?<![A-Za-z0-9])[A-Za-z0-9.:/@-]+)\Z"
)
CLOSING_FENCE = re.compile(r"[\s>]*(?:`{3,}|~{3,})\s*\Z")

type Node = SyntaxTreeNode


def growing(text: str) -> str:
    """The settled beginning of markdown that still grows, as `markup.render` shows it in `full`."""
    settled = clean(text).lstrip()
    head, _, last = settled.rpartition("\n")
    if UNDECIDED_LINE.match(last):
        settled = head + "\n" if head else ""
    tree = parse(settled)
    if tree.children and tree.children[-1].type == "table" and not settled.endswith("\n"):
        tree = parse(head + "\n")
    shown = _Growing(settled.split("\n"), _open_text(tree, settled)).blocks(tree.children)
    return BARE_MARKS.sub("", shown.partition(HOLD)[0]).rstrip()


class _Growing(Full):
    """Full markdown that is held where something is not settled; `open_text` is the paragraph that still grows."""

    def __init__(self, lines: Sequence[str], open_text: Node | None) -> None:
        super().__init__(Style("full"))
        self._lines = lines
        self._open_text = open_text

    def block(self, node: Node) -> str:
        shown = super().block(node)
        if node.type == "fence" and not self._is_closed(node):
            return shown.rpartition("\n")[0] + HOLD
        return shown

    def span(self, node: Node) -> str:
        if node is self._open_text:
            return self._open(node)
        return HOLD if node.type in ("link", "image", "bare_url") else super().span(node)

    def text(self, text: str) -> str:
        found = NAKED.search(text) or BARE.search(text)
        return super().text(text[: found.start()]) + HOLD if found else super().text(text)

    def strong(self, text: str) -> str:
        return HOLD if HOLD in text else super().strong(text)

    def emphasis(self, text: str, mark: str) -> str:
        return HOLD if HOLD in text else super().emphasis(text, mark)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """Whole rows only."""
        if any(HOLD in cell for cell in head):
            return HOLD
        whole = list(takewhile(lambda row: not any(HOLD in cell for cell in row), rows))
        return super().table(head, whole) + (HOLD if len(whole) < len(rows) else "")

    def _open(self, node: Node) -> str:
        """The paragraph that grows; a line that begins with a bar may become a table's head."""
        children = node.children
        if node.content.rpartition("\n")[2].lstrip().startswith("|"):
            breaks = [at for at, child in enumerate(children) if child.type.endswith("break")]
            children = children[: breaks[-1]] if breaks else []
        parts = [self._settled(child, last=child is node.children[-1]) for child in children]
        return trimmed("".join(parts)) + HOLD

    def _settled(self, node: Node, *, last: bool) -> str:
        """A node of the paragraph that grows, held at what may still turn into something else."""
        maths = node.type == "text_special" and node.content in "(["
        # One more mark behind the last node, and it is another one.
        if maths or (last and node.type not in ("text", "math")):
            return HOLD
        if node.type != "text":
            return self.span(node)
        found = OPEN.search(node.content) or (UNFINISHED.search(node.content) if last else None)
        return self.text(node.content[: found.start()]) + HOLD if found else self.text(node.content)

    def _is_closed(self, node: Node) -> bool:
        first, last = node.map or (0, 0)
        return last - first > 1 and bool(CLOSING_FENCE.match(self._lines[last - 1]))


def _open_text(tree: Node, text: str) -> Node | None:
    """The text of the last paragraph or heading, unless an empty line has ended it."""
    node = tree
    while node.children and node.type != "inline":
        node = node.children[-1]
    ended = text.endswith("\n\n") or node.type != "inline"
    return None if ended or node.parent is None or node.parent.type in ("th", "td") else node
