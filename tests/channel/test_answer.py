"""What a person reads: no reasoning, the sources that were used, pieces within the limit."""

from dataclasses import replace

import pytest

from tests.channel.conftest import make_account
from tool_server.channel import answer
from tool_server.channel.answer import Rendered
from tool_server.channel.dify import Answered, Source
from tool_server.channel.links import Links
from tool_server.channel.surfaces import wecom_app

LEAVE = Source(
    "员工手册 › 年假",
    "[1] 员工手册 › 年假\n员工每年享有 12 天带薪年假。",
    "https://kb.corp.cn/leave",
)
SICK = Source("员工手册 › 病假", "[2] 员工手册 › 病假\n员工每年享有 8 天全薪病假。")
LIMITS = wecom_app.LIMITS


def rendered(text: str, *sources: Source, language: str = "zh", **fields: object) -> Rendered:
    account = make_account(**fields)
    links = Links.of((source.url for source in sources), [])
    style = answer.style_of(account, LIMITS, "en" if language == "en" else "zh", links)
    return answer.render(Answered(text, "c", sources), account, style)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>\n想\n</think>\n\n12 天", "12 天"),
        ("想了很久</think>12 天", "12 天"),
        ("<think>一</think>12<think>二</think> 天", "12 天"),
        ("<think>没有结束", ""),
        ("12 天", "12 天"),
    ],
)
def test_reasoning_is_removed(text: str, left: str) -> None:
    assert answer.strip_reasoning(text) == left


def test_the_source_that_the_answer_copies_is_named_and_no_other() -> None:
    shown = rendered("员工每年享有 8 天全薪病假。", LEAVE, SICK)
    assert shown.whole == "员工每年享有 8 天全薪病假。\n\n来源：员工手册 › 病假"


def test_sources_that_are_cited_stand_at_the_end_by_their_numbers_with_their_links() -> None:
    shown = rendered("病假另有规定 [2]，年假见 [1]。", LEAVE, SICK)
    linked = '<a href="https://kb.corp.cn/leave">员工手册 › 年假</a>'
    assert shown.foot == f"来源：[1] {linked}；[2] 员工手册 › 病假"


def test_a_number_that_no_source_has_names_none() -> None:
    assert rendered("员工每年享有 8 天全薪病假 [7]。", LEAVE, SICK).foot == ""


def test_an_answer_that_shares_nothing_with_the_passages_names_no_source() -> None:
    assert rendered("手册里没有提到这一点。", LEAVE, SICK).whole == "手册里没有提到这一点。"


def test_a_title_cannot_bring_markup_or_a_link() -> None:
    source = Source("[点这里](http://evil.example) <a href=x>**粗**", "[1] x\n正文")
    shown = rendered("见 [1]。", source).foot
    assert "evil.example" not in shown
    assert "<a" not in shown
    assert "**" not in shown


def test_code_that_was_left_open_does_not_swallow_the_sources() -> None:
    shown = rendered("见 [2]：\n```\nx = 1", SICK).whole
    assert shown.endswith("```\n\n来源：[2] 员工手册 › 病假")


def test_an_empty_answer_becomes_a_sentence_in_the_persons_language() -> None:
    assert rendered("<think>x</think>", language="en").whole.startswith("Sorry")
    assert rendered("<think>x</think>").whole.startswith("抱歉")


def test_a_long_answer_becomes_numbered_pieces_within_the_limit() -> None:
    limits = replace(LIMITS, piece_bytes=100)
    parts = answer.pieces("这是一个句子。" * 20, limits)
    assert len(parts) > 1
    assert all(len(part.encode()) <= limits.piece_bytes for part in parts)
    assert parts[0].startswith(f"(1/{len(parts)}) ")


def test_a_numbered_piece_of_code_keeps_its_fence_at_the_beginning_of_a_line() -> None:
    parts = answer.numbered(["看：", "```py\nx\n```"])
    assert parts == ["(1/2) 看：", "(2/2)\n```py\nx\n```"]


def test_the_line_that_says_ai_comes_last_where_the_account_wants_it() -> None:
    assert rendered("12 天", ai_label=True).whole == "12 天\n\n（内容由 AI 生成）"


def test_a_self_built_app_shows_markdown_only_where_its_account_says_so() -> None:
    assert rendered("**12** 天").body == "12 天"
    assert rendered("**12** 天", markup="markdown").body == "**12** 天"
