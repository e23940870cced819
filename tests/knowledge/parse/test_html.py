"""HTML: what of a page is text."""

import pytest

from tests.knowledge.parse.conftest import Read

PAGE = """<!doctype html><html><head><title>年假 - 公司内网</title><meta name="author" content="李雷"></head>
<body><nav>首页</nav><main><h1>年假</h1><p>员工有<b>十二</b>天。</p><h2>申请</h2>
<ul><li>填表</li><li>交<p>给经理</p></li></ul>
<table><tr><th>级别</th><th>天数</th></tr><tr><td>经理</td><td>15</td></tr></table>
<div hidden>秘密</div><p style="display: none">看不见</p><script>alert(1)</script></main>
<footer>版权</footer></body></html>"""


def test_headings_lists_and_tables_are_kept_and_the_frame_is_dropped(read: Read) -> None:
    (document,) = read("a.html", PAGE)
    assert document.title == "年假 - 公司内网"
    assert document.metadata["author"] == "李雷"
    assert [(section.heading, section.text) for section in document.sections] == [
        ("", "员工有十二天。"),
        ("申请", "- 填表\n- 交\n给经理\n\n级别: 经理; 天数: 15"),
    ]


@pytest.mark.parametrize("encoding", ["gb2312", "big5", "utf-16"])
def test_the_encoding_is_the_one_that_the_page_names(read: Read, encoding: str) -> None:
    page = f'<meta charset="{encoding}"><title>年假</title><p>年假有十二天</p>'
    assert read("a.html", page.encode(encoding))[0].sections[0].text == "年假有十二天"


def test_a_heading_that_the_title_does_not_hold_stays_in_the_path(read: Read) -> None:
    (document,) = read("a.html", "<title>公司内网</title><h1>年假</h1><p>十二天")
    assert (document.title, document.sections[0].heading) == ("公司内网", "年假")


def test_a_table_that_only_lays_the_page_out_is_read_as_text(read: Read) -> None:
    page = (
        "<table><tr><td><table><tr><td>菜单</td></tr></table></td><td><p>正文</p></td></tr></table>"
    )
    assert read("a.html", page)[0].sections[0].text.split() == ["菜单", "正文"]
