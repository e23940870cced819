"""The main job through the whole product: the demo's conversation, kills, attacks, and what the logs hold."""

import io
import re
import time

import httpx
import pytest
from rich.console import Console

from playground.script import play
from playground.stage import Stage
from tests.waiting import wait_for

QUESTION = "停车多少钱？"
ANSWER = "员工可在地下 1 层停车，每月收费 120 元。"


def done(stage: Stage, msg_id: str) -> bool:
    try:
        return bool(stage.timeline(msg_id)["message"]["state"] in ("done", "failed"))
    except httpx.HTTPError:
        return False


def ask_and_kill(stage: Stage, user: str, process: str) -> list[str]:
    """Ask, kill one process while the answer is being made; everything that was shown."""
    runs = len(stage.runs())
    stage.slow_runs(1.0, 1)
    msg_id = stage.send(user, QUESTION)
    wait_for(lambda: len(stage.runs()) > runs and stage.runs()[-1]["model_requests"])
    stage.kill(process)
    wait_for(lambda: done(stage, msg_id))
    wait_for(lambda: stage.seen(user))
    time.sleep(1)
    return [entry["text"] for entry in stage.seen(user)]


@pytest.mark.quiet
def test_the_demos_conversation_comes_out_as_it_must(stage: Stage) -> None:
    stage.wait_ready()
    output = io.StringIO()
    play(stage, Console(file=output, width=120))
    assert "all that is ours" in output.getvalue()


@pytest.mark.parametrize("process", ["worker", "web"])
def test_a_kill_while_an_answer_is_made_shows_it_once(
    stage: Stage, user: str, process: str
) -> None:
    (shown,) = ask_and_kill(stage, user, process)
    assert shown.startswith(ANSWER)


def test_a_dead_engine_gives_the_honest_sentence_once_and_comes_back(
    stage: Stage, user: str
) -> None:
    (shown,) = ask_and_kill(stage, user, "engine")
    assert shown == "抱歉，我现在无法生成回答，请稍后再试。"
    stage.wait_ready()
    assert stage.converse(user, QUESTION)["text"].startswith(ANSWER)


def test_twenty_deliveries_at_once_run_the_model_once(stage: Stage, user: str) -> None:
    runs = len(stage.runs())
    stage.slow_runs(0.5, 1)
    msg_id = stage.send(user, QUESTION, copies=20)
    wait_for(lambda: done(stage, msg_id))
    time.sleep(1)
    assert len(stage.seen(user)) == 1
    assert len(stage.runs()) == runs + 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("forged_signature", 403),
        ("truncated", 403),
        ("foreign_receive_id", 403),
        ("old_timestamp", 403),
        ("plain_body", 403),
        ("garbage", 403),
        ("oversized", 413),
    ],
)
def test_an_attack_is_refused_and_runs_nothing(
    stage: Stage, user: str, kind: str, status: int
) -> None:
    runs = len(stage.runs())
    answer = stage.attack(kind)
    assert answer["status"] == status
    assert "Traceback" not in answer["body"]
    assert len(stage.runs()) == runs


def test_the_ticket_reaches_the_search_and_belongs_to_the_asker(stage: Stage, user: str) -> None:
    stage.converse(user, QUESTION)
    assert stage.runs()[-1]["inputs"]["ticket"]
    assert stage.log_events("search")[-1]["asker_known"] is True


def test_people_do_not_share_a_conversation(stage: Stage, user: str) -> None:
    stage.converse(user, QUESTION)
    stage.converse(user + "b", "年假有几天？")
    first, second = stage.runs()[-2:]
    assert first["conversation_id"] != second["conversation_id"]
    request = second["model_requests"][0]["prompt_messages"]
    assert QUESTION not in str(request)


def test_logs_and_metrics_hold_no_text_and_no_secret(stage: Stage, user: str) -> None:
    stage.converse(user, QUESTION)
    log = (stage.plan.folder / "tool-server.log").read_text()
    page = stage.http.get(f"{stage.server_url}/metrics").text
    secrets = [stage.secrets[name] for name in ("secret", "token", "encoding_aes_key")]
    secrets += [stage.key(scope) for scope in ("model", "knowledge", "channel", "admin")]
    for hidden in (*secrets, stage.plan.dify_key, "停车多少钱", "每月收费"):
        assert hidden not in log
        assert hidden not in page


def test_every_process_reports_to_the_metrics_page(stage: Stage, user: str) -> None:
    stage.converse(user, QUESTION)
    url = f"{stage.server_url}/metrics"
    wait_for(lambda: re.search(r'mode="\w+",process="worker', stage.http.get(url).text))
    page = stage.http.get(url).text
    for name in (
        "shenqiao_channel_callbacks_total",
        "shenqiao_engine_submitted_total",
        "shenqiao_knowledge_searches_total",
        "shenqiao_model_requests_total",
    ):
        assert name in page
