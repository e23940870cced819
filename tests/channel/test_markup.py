"""Answers in each markup: golden files, nothing that leads where it must not, and rendering twice changes nothing."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from tool_server.channel.links import Links
from tool_server.channel.markup import Style, render
from tool_server.channel.page_html import html_of
from tool_server.channel.tables import PHONE_COLUMNS, table, width

GOLDEN = Path(__file__).parent / "golden"
OURS = Links.of([], ["kb.corp.cn"])
STYLES = {
    "full": Style("full", links=OURS),
    "subset": Style("subset", links=OURS),
    "plain": Style("plain", links=OURS),
    "plain_anchors": Style("plain", links=OURS, anchors=True),
}
PARTS = [
    *(
        "**",
        "*",
        "`",
        "``",
        "\n",
        "\n\n",
        "- ",
        "1. ",
        "2) ",
        "| a | b |\n",
        "|---|---|\n",
        "|",
        "> ",
        "年假",
        "word ",
    ),
    *(
        "[1]",
        "(",
        ")",
        "]",
        "<b>",
        "```\n",
        "# ",
        "~~",
        "$",
        "\\(",
        "\\)",
        "&lt;",
        "&amp;",
        "_",
        "  ",
        "\\",
        "</b>",
    ),
    *(
        "<T>",
        "!",
        "---\n",
        "https://kb.corp.cn/a_b ",
        "http://a.example/",
        "[x](http://a.example)",
        "evil.com",
        "<a href=",
    ),
    *(
        "[y](https://kb.corp.cn/)",
        '<a href="https://kb.corp.cn/">',
        "</a>",
        "<br>",
        "\t",
        "    ",
        "😀",
        "：",
        "。",
        "+ ",
    ),
]
markdowns = st.lists(st.sampled_from(PARTS), max_size=16).map("".join) | st.text(max_size=80)


@pytest.mark.parametrize("name", STYLES)
def test_an_answer_looks_as_its_golden_file(name: str) -> None:
    shown = render((GOLDEN / "answer.md").read_text(), STYLES[name])
    assert shown == (GOLDEN / f"answer.{name}.txt").read_text().rstrip("\n")


@pytest.mark.parametrize("name", STYLES)
def test_a_golden_answer_that_is_rendered_again_stays_as_it_is(name: str) -> None:
    shown = (GOLDEN / f"answer.{name}.txt").read_text().rstrip("\n")
    assert render(shown, STYLES[name]) == shown


@given(markdowns, st.sampled_from(list(STYLES)))
@tried(max_examples=200, deadline=None)
def test_rendering_what_was_rendered_changes_nothing(text: str, name: str) -> None:
    shown = render(text, STYLES[name])
    assert render(shown, STYLES[name]) == shown


@given(markdowns, st.sampled_from(list(STYLES)))
@tried(max_examples=200, deadline=None)
def test_no_address_that_is_not_allowed_comes_through(text: str, name: str) -> None:
    shown = render(text, STYLES[name])
    if name == "full":  # a bot makes no link of what stands in code
        shown = re.sub("<code.*?</code>", "", html_of(shown), flags=re.DOTALL)
    assert "a.example" not in shown


def test_a_table_is_aligned_by_what_letters_take_on_the_screen() -> None:
    shown = table(["姓名", "d"], [["张三", "1"], ["Lee", "22"]]).split("\n")
    assert {width(line.partition("│")[0]) for line in shown} == {5}


@given(st.lists(st.lists(st.text(alphabet="汉a", max_size=12), min_size=2, max_size=2), max_size=4))
def test_a_table_is_never_wider_than_a_phone(rows: list[list[str]]) -> None:
    shown = table(["项目", "值"], rows)
    aligned = "│" in shown
    assert not aligned or all(width(line) <= PHONE_COLUMNS for line in shown.split("\n"))
    assert all(cell in shown for row in rows for cell in row)


@pytest.mark.parametrize(
    "text",
    [
        "[点这里](http://evil.example)",
        "<a href='http://evil.example'>点这里</a>",
        "<http://evil.example>",
        "http://evil.example/?q=1",
        "WWW.EVIL.COM",
        "evil.com/login",
        "ev*il*.com",
        "evil\\.com",
        "evil&period;com",
        "[x]: http://evil.example",
        "![x](http://evil.example/beacon.png)",
        "<img src=http://evil.example/beacon.png>",
        "[https://kb.corp.cn](http://evil.example)",
        "[x](http://kb.corp.cn@evil.example/)",
        "[x](http://kb.corp.cn.evil.example/)",
        "[x](http:\\\\evil.example)",
        "[x](javascript:alert(1))",
        "[x](weixin://evil.example)",
        "`curl http://evil.example`",
        "$http://evil.example$",
        "http://ev\u200bil.com",
    ],
)
def test_an_address_of_somebody_else_loses_its_target_in_whatever_form_it_comes(text: str) -> None:
    for name in ("plain", "plain_anchors"):
        shown = render(f"见 {text} 。", STYLES[name])
        assert "evil.example" not in shown
        assert "evil.com" not in shown.lower()


@pytest.mark.parametrize(
    "text", ["hr@corp.cn", "ASP.NET", "main.py", "3.14", "http://localhost:8000", "e.g."]
)
def test_what_only_looks_like_an_address_stays(text: str) -> None:
    assert render(f"见 {text} 。", STYLES["plain"]) == f"见 {text} 。"


def test_a_source_may_be_linked_and_its_neighbour_may_not() -> None:
    links = Links.of(["https://wiki.example/leave?page=2"], [])
    shown = render(
        "[a](https://wiki.example/leave?page=2) [b](https://wiki.example/other)",
        Style("full", links=links),
    )
    assert shown == "[a](https://wiki.example/leave?page=2) b"


def test_hosts_below_one_and_all_hosts_can_be_named() -> None:
    below, all_hosts = Links.of([], ["*.corp.cn"]), Links.of([], ["*"])
    assert below.target("https://a.b.corp.cn/x")
    assert not below.target("https://corp.cn.evil.example/x")
    assert not below.target("https://evilcorp.cn/x")
    assert all_hosts.target("https://anything.example/")
