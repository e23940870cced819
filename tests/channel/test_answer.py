"""What a person reads: no reasoning, the sources that were used, pieces within the limit."""

from dataclasses import replace

import pytest

from tests.channel.conftest import make_account
from tool_server.channel import answer
from tool_server.channel.dify import Answered, Source
from tool_server.channel.surfaces import wecom_app

LEAVE = Source("员工手册 › 年假", "[1] 员工手册 › 年假\n员工每年享有 12 天带薪年假。")
SICK = Source("员工手册 › 病假", "[2] 员工手册 › 病假\n员工每年享有 8 天全薪病假。")
ACCOUNT = make_account()


def rendered(text: str, *sources: Source, question: str = "年假有几天？") -> list[str]:
    return answer.render(Answered(text, "c", sources), question, ACCOUNT, wecom_app.LIMITS)


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
    assert rendered("员工每年享有 12 天带薪年假。", LEAVE, SICK) == [
        "员工每年享有 12 天带薪年假。\n\n来源：员工手册 › 年假"
    ]


def test_the_sources_that_the_answer_cites_are_named() -> None:
    assert rendered("病假另有规定 [2]。", LEAVE, SICK)[0].endswith("来源：员工手册 › 病假")


def test_an_answer_that_shares_nothing_with_the_passages_names_no_source() -> None:
    assert rendered("手册里没有提到这一点。", LEAVE, SICK) == ["手册里没有提到这一点。"]


def test_an_empty_answer_becomes_a_sentence_in_the_language_of_the_question() -> None:
    assert rendered("<think>x</think>", question="How many days?")[0].startswith("Sorry")
    assert rendered("<think>x</think>")[0].startswith("抱歉")


def test_a_long_answer_becomes_numbered_pieces_within_the_limit() -> None:
    limits = replace(wecom_app.LIMITS, piece_bytes=100)
    parts = answer.pieces("这是一个句子。" * 20, limits)
    assert len(parts) > 1
    assert all(len(part.encode()) <= limits.piece_bytes for part in parts)
    assert parts[0].startswith(f"(1/{len(parts)}) ")


def test_the_line_that_says_ai_comes_last_where_the_account_wants_it() -> None:
    account = make_account(ai_label=True)
    shown = answer.render(Answered("12 天", "c"), "几天？", account, wecom_app.LIMITS)
    assert shown == ["12 天\n\n（内容由 AI 生成）"]
