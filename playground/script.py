"""The conversation that the demo plays: each step says what is done, shows what came out and checks it."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from playground.stage import Stage

USER = "zhangwei"
COVERED = (
    ("年假有几天？", "12 天", "年假"),
    ("我想休婚假，可以休几天？", "10 天", "婚假"),
    ("停车多少钱？", "120 元", "停车"),
    ("VPN密码怎么重置？", "自助门户", "VPN"),
    ("How many days of annual leave do I have?", "12 days", "Annual leave"),
    ("When is salary paid?", "day 25", "Salary day"),
)
FOLLOW_UP = ("试用期多长？", "4 个月", "试用期")
NOT_COVERED = "公司股票代码是多少？"
REFUSALS = ("没有", "not cover", "no answer")
MEASURED = 20
SLOW_S = 5.0
BOT_USER = "lina"
BOT_S = 10.0


class Failed(Exception):
    """A step came out differently than it must."""


def play(stage: Stage, console: Console) -> None:
    """All steps in order. Raises `Failed`."""
    steps: tuple[tuple[str, Callable[[Stage, Console], None]], ...] = (
        ("Questions that the handbook covers", ask_covered),
        ("A second question in the same conversation", ask_again_in_conversation),
        ("A question that the handbook does not cover", ask_uncovered),
        ("The same question twice", ask_twice),
        ("A slow run: the answer arrives by push", ask_slowly),
        ("An AI bot: the answer grows in one bubble", ask_bot),
        ("The platform delivers one message three times", deliver_copies),
        ("A forged callback", forge),
        (f"{MEASURED} messages one after the other", measure),
    )
    for number, (title, step) in enumerate(steps, start=1):
        console.print(f"\n[bold]{number}. {title}[/bold]")
        step(stage, console)


def ask_covered(stage: Stage, console: Console) -> None:
    for question, fact, source in COVERED:
        shown = _converse(stage, console, USER, question)
        _must(fact in shown["text"], f"{question} → {fact} expected: {shown['text']}")
        _must(source in _sources(shown["text"]), f"{question}: no source {source}: {shown['text']}")


def ask_again_in_conversation(stage: Stage, console: Console) -> None:
    question, fact, _ = FOLLOW_UP
    shown = _converse(stage, console, USER, question)
    _must(fact in shown["text"], f"{fact} expected: {shown['text']}")
    request = _model_messages(stage.runs()[-1])
    first = COVERED[-1][0]
    _must(any(first in text for text in request), "the model was not shown the question before")
    console.print(f"   the model's request holds {len(request)} messages, among them “{first}”")


def ask_uncovered(stage: Stage, console: Console) -> None:
    shown = _converse(stage, console, USER, NOT_COVERED)
    _must(any(word in shown["text"] for word in REFUSALS), f"not honest: {shown['text']}")
    _must(not _sources(shown["text"]), f"a source for nothing: {shown['text']}")


def ask_twice(stage: Stage, console: Console) -> None:
    question = COVERED[2][0]
    first = _converse(stage, console, USER, question)
    second = _converse(stage, console, USER, question)
    _must(first["text"] == second["text"], "two answers to one question differ")


def ask_bot(stage: Stage, console: Console) -> None:
    question, fact, _ = COVERED[0]
    stage.send_bot(BOT_USER, question)
    after, shown = 0, list[str]()
    while True:
        seen = stage.seen(BOT_USER, after=after, wait_s=BOT_S)
        _must(bool(seen), f"the answer did not come to its end: {shown}")
        entry = seen[-1]
        after = entry["changed"]
        shown.append(entry["text"])
        if entry["finish"]:
            break
    _must(fact in shown[-1], f"{question} → {fact} expected: {shown[-1]}")
    grown = ", ".join(str(len(text)) for text in shown)
    console.print(f"   {question} → characters seen as it grew: {grown}")


def ask_slowly(stage: Stage, console: Console) -> None:
    stage.slow_runs(SLOW_S, 1)
    shown = _converse(stage, console, USER, COVERED[0][0])
    _must(shown["source"] == "push", f"it came as {shown['source']}")
    console.print(
        f"   pushed after {shown['wall_s']:.1f} s; the callback had been answered in time"
    )


def deliver_copies(stage: Stage, console: Console) -> None:
    runs, before = len(stage.runs()), stage.seen(USER)
    question = COVERED[1][0]
    console.print(f"   [cyan]{USER}[/cyan]: {question}  (3 copies)")
    msg_id = stage.send(USER, question, copies=3)
    shown = stage.seen(USER, after=before[-1]["id"], wait_s=20)
    time.sleep(1.0)  # a second answer would have come by now
    after = stage.seen(USER, after=before[-1]["id"])
    answers = [entry for entry in after if entry["source"] in ("passive", "push")]
    _must(bool(shown) and len(answers) == 1, f"{len(answers)} answers were shown")
    _must(len(stage.runs()) == runs + 1, "the model ran more than once")
    deliveries = stage.timeline(msg_id)["message"]["connections"]
    console.print(f"   {deliveries} deliveries, 1 run of the model, 1 answer")


def forge(stage: Stage, console: Console) -> None:
    answer = stage.attack("forged_signature")
    _must(answer["status"] == 403, f"the callback answered {answer}")
    console.print(f"   refused with {answer['status']}, nothing was stored")


def measure(stage: Stage, console: Console) -> None:
    engine_before = len(stage.log_events("model.finished"))
    runs_before = len(stage.runs())
    walls = [
        stage.converse(f"user{number:02d}", COVERED[number % 4][0])["wall_s"]
        for number in range(MEASURED)
    ]
    engine = [event["engine_s"] for event in stage.log_events("model.finished")[engine_before:]]
    overhead = [run["overhead_s"] for run in stage.runs()[runs_before:]]
    _must(len(engine) == len(overhead) == MEASURED, "a message had no run, or more than one")
    rest = [w - e - o for w, e, o in zip(walls, engine, overhead, strict=True)]
    for name, values in (
        ("from callback to answer on the phone", walls),
        ("the engine's own submit-to-last-token", engine),
        ("graphon's run overhead", overhead),
        ("all that is ours", rest),
    ):
        console.print(f"   median {statistics.median(values) * 1000:7.1f} ms  {name}")
    _must(statistics.median(walls) < 1.0, "the median is over one second")


def _converse(stage: Stage, console: Console, user: str, question: str) -> dict[str, Any]:
    console.print(f"   [cyan]{user}[/cyan]: {question}")
    shown = stage.converse(user, question)
    for line in shown["text"].splitlines():
        if line:
            console.print(f"   [green]深桥[/green]: {line}")
    return shown


def _sources(text: str) -> str:
    """The line of an answer that names its sources, empty if there is none."""
    lines = [line for line in text.splitlines() if line.startswith(("来源", "Source"))]
    return lines[-1] if lines else ""


def _model_messages(run: dict[str, Any]) -> list[str]:
    return [str(message["content"]) for message in run["model_requests"][-1]["prompt_messages"]]


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)
