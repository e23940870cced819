"""Markdown as blocks from top to bottom, each with the looks of its words; what `layout` measures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markdown_it.tree import SyntaxTreeNode

from tool_server.channel import markdown
from tool_server.pictures.wrap import Look, Span

# Deeper lists and quotes are drawn like the deepest.
DEPTH = 6
COLUMNS = 20


@dataclass(frozen=True)
class Place:
    """How deep a block stands: in lists, in quotes; the sign in front of its first line."""

    indent: int = 0
    quote: int = 0
    sign: str = ""


@dataclass(frozen=True)
class Words:
    """A heading of level 1 to 6, or a paragraph (0)."""

    spans: tuple[Span, ...]
    level: int
    place: Place


@dataclass(frozen=True)
class Code:
    """Lines as they were written."""

    text: str
    place: Place


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first is the head. All rows have the same number of cells."""

    rows: tuple[tuple[tuple[Span, ...], ...], ...]
    place: Place


@dataclass(frozen=True)
class Rule:
    """A line across."""

    place: Place


type Block = Words | Code | Table | Rule


def blocks_of(text: str) -> list[Block]:
    """The blocks of a markdown text."""
    return list(_blocks(markdown.parse(markdown.clean(text)).children, Place()))


def _blocks(nodes: Sequence[SyntaxTreeNode], place: Place) -> Iterator[Block]:
    for node in nodes:
        yield from _block(node, place)
        place = replace(place, sign="")  # a sign stands before the first block only


def _block(node: SyntaxTreeNode, place: Place) -> Iterator[Block]:
    match node.type:
        case "heading":
            yield Words(_words(node, Look(bold=True)), int(node.tag[1:]), place)
        case "bullet_list" | "ordered_list":
            yield from _list(node, place)
        case "blockquote":
            yield from _blocks(node.children, replace(place, quote=min(place.quote + 1, DEPTH)))
        case "fence" | "code_block" | "math_block":
            yield Code(node.content.rstrip("\n").expandtabs(4), place)
        case "table":
            yield Table(_rows(node), place)
        case "hr":
            yield Rule(place)
        case _:
            yield Words(_words(node, Look()), 0, place)


def _list(node: SyntaxTreeNode, place: Place) -> Iterator[Block]:
    start = int(node.attrs.get("start", 1))
    inside = min(place.indent + 1, DEPTH)
    for number, item in enumerate(node.children, start):
        sign = f"{number}." if node.type == "ordered_list" else "•"
        yield from _blocks(item.children, replace(place, indent=inside, sign=sign))


def _rows(table: SyntaxTreeNode) -> tuple[tuple[tuple[Span, ...], ...], ...]:
    rows = [row for part in table.children for row in part.children]
    looks = [Look(bold=True), *[Look()] * len(rows)]
    return tuple(
        tuple(_words(cell, look) for cell in row.children[:COLUMNS])
        for row, look in zip(rows, looks, strict=False)
    )


def _words(node: SyntaxTreeNode, look: Look) -> tuple[Span, ...]:
    return tuple(span for span in _spans(node, look) if span.text)


def _spans(node: SyntaxTreeNode, look: Look) -> Iterator[Span]:
    match node.type:
        case "softbreak" | "hardbreak":
            yield Span("\n", look)
            return
        case "image":
            yield Span(node.content, look)
            return
        case "strong":
            look = replace(look, bold=True)
        case "s":
            look = replace(look, struck=True)
        case "link" | "bare_url":
            look = replace(look, link=True)
        case "code_inline":
            look = replace(look, mono=True, shaded=True)
    if not node.children:
        yield Span(node.content if node.type != "inline" else "", look)
    for child in node.children:
        yield from _spans(child, look)
