"""A growing answer: what was shown stays, nothing half-finished is shown, nothing is held for long."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tool_server.channel import answer
from tool_server.channel.markup import Style, render

ANSWER = """# 年假

员工**“年假”**是 *12* 天，见 `leave_policy` 与 `<b>`。

1. 第一
   - 甲 \\*不是\\* 重点
   - 乙：
     ```python
     def f():
         return "`"
     ```
2. 第二 [1] 与 [2]。

> 引用 **x** 2 * 3

| 姓名 | 天数 |
|---|---:|
| 张三 | 12 |
| 李四 | |

公式 $E=mc^2$ 和 \\(a_1*b*\\)，a | b 不是表格。
~~删~~ <u>下划</u> 一<br>二

---
The end of it: snake_case, 3 < 4, R&D &amp; more!
"""
PARTS = [
    *(
        "**",
        "*",
        "`",
        "\n",
        "\n\n",
        "- ",
        "1. ",
        "| a |",
        "|---|",
        "> ",
        "年假",
        "word ",
        "[1]",
        "(",
        "<b>",
        "```\n",
    ),
    *(
        "# ",
        "~~",
        "$",
        "\\(",
        "&lt;",
        "_",
        "  ",
        "\\",
        "</b>",
        "<T>",
        "!",
        "---\n",
        "http://a.cn/",
        "[x](http://a)",
    ),
]


def test_every_beginning_that_is_shown_stays_to_the_end() -> None:
    final = render(ANSWER, Style("full"))
    shown = [answer.partial(ANSWER[:at]) for at in range(len(ANSWER) + 1)]
    assert all(final.startswith(text) for text in shown)
    assert all(later.startswith(text) for text, later in pairwise(shown))


def test_no_more_than_a_sentence_is_held() -> None:
    for at in range(len(ANSWER)):
        so_far = render(ANSWER[:at], Style("full"))
        assert len(so_far) - len(answer.partial(ANSWER[:at])) < 60


@given(st.lists(st.sampled_from(PARTS), max_size=14).map("".join), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_any_markdown_grows_without_a_correction(text: str, at: int) -> None:
    assert answer.partial(text).startswith(answer.partial(text[:at]))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<think>想", ""),
        ("<thi", ""),
        ("<think>想</think>\n\n十二天", "十二天"),
        ("年假是**十二", "年假是"),
        ("年假是**十二**天", "年假是**十二**天"),
        ("见[制度](https://kb.corp.cn/x)第三条", "见"),
        ("见 https://evil.example/x 第三条", "见"),
        ("见 evil.com 第三条", "见"),
        ("```py\nprint(1)\n", "```py\nprint(1)"),
        ("```py\nprint(1)\n```", "```py\nprint(1)"),
        ("姓名\n| a | b |\n|--", "姓名"),
        ("十二天\n-", "十二天"),
        ("", ""),
    ],
)
def test_what_is_not_settled_is_held(raw: str, shown: str) -> None:
    assert answer.partial(raw) == shown
