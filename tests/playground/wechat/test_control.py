"""`/playground/…` and the process: what a tester sets and reads, long polls, attacks, bounds."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Response

from playground.wechat.attack import KINDS
from playground.wechat.ledger import Ledger
from playground.wechat.platform import Platform
from playground.wechat.shelf import Shelf
from tests.playground.wechat.conftest import CONFIG, Product
from tests.waiting import wait_for


def waited(act: Callable[[], Any], user: str, api: httpx.Client) -> tuple[list[str], float]:
    """What a long poll gets that is open while `act` happens, and how long after it, in seconds."""
    times: list[float] = []

    def later() -> None:
        time.sleep(0.2)
        times.append(time.monotonic())
        act()

    thread = threading.Thread(target=later)
    thread.start()
    seen = api.get("/playground/seen", params={"user": user, "wait_s": 5}).json()["seen"]
    ended = time.monotonic()
    thread.join()
    return [entry["text"] for entry in seen], ended - times[0]


@pytest.mark.quiet
def test_somebody_who_waits_sees_a_bubble_at_once(platform: Platform, api: httpx.Client) -> None:
    api.get("/playground/counts")
    seen, late_s = waited(lambda: platform.ledger.show("zhang", "push", "jetzt"), "zhang", api)
    assert seen == ["jetzt"]
    assert late_s < 0.5


def test_nobody_is_woken_by_the_bubbles_of_others(platform: Platform, api: httpx.Client) -> None:
    platform.ledger.show("li", "push", "für li")
    started = time.monotonic()
    answer = api.get("/playground/seen", params={"user": "zhang", "wait_s": 0.2}).json()
    assert answer == {"seen": []}
    assert time.monotonic() - started >= 0.2


def test_bubbles_are_read_on_from_a_number(platform: Platform, api: httpx.Client) -> None:
    first = platform.ledger.show("zhang", "push", "eins")
    platform.ledger.show("zhang", "push", "zwei")
    answer = api.get("/playground/seen", params={"user": "zhang", "after": first.id}).json()
    assert [entry["text"] for entry in answer["seen"]] == ["zwei"]


def test_a_message_is_accepted_before_it_is_delivered(
    api: httpx.Client, product: Product, platform: Platform
) -> None:
    gate = threading.Event()

    def late(_xml: str) -> Response:
        gate.wait(90)
        return Response("")

    product.answer = late
    msg_id = api.post("/playground/messages", json={"user": "zhang", "text": "x"}).json()["msg_id"]
    assert api.get("/playground/deliveries", params={"msg_id": msg_id}).json() == {"deliveries": []}
    gate.set()
    wait_for(lambda: api.get("/playground/counts").json()["empty"] == 1)
    (delivery,) = api.get("/playground/deliveries", params={"msg_id": msg_id}).json()["deliveries"]
    assert (delivery["number"], delivery["status"], delivery["outcome"]) == (1, 200, "empty")


def test_copies_are_delivered_at_once(api: httpx.Client, product: Product) -> None:
    everybody = threading.Barrier(20)

    def together(_xml: str) -> Response:
        everybody.wait(90)
        return Response("")

    product.answer = together
    api.post("/playground/messages", json={"user": "zhang", "text": "x", "copies": 20})
    wait_for(lambda: api.get("/playground/counts").json()["empty"] == 20)
    assert len(set(product.received)) == 1


def test_a_late_duplicate_comes_on_demand(api: httpx.Client, product: Product) -> None:
    msg_id = api.post("/playground/messages", json={"user": "zhang", "text": "x"}).json()["msg_id"]
    wait_for(lambda: product.received)
    assert api.post("/playground/replay", json={"msg_id": msg_id, "copies": 2}).json()["ok"]
    wait_for(lambda: len(product.received) == 3)
    assert api.post("/playground/replay", json={"msg_id": "1"}).status_code == 404


def test_the_address_check_is_told(api: httpx.Client, product: Product) -> None:
    body = {"callback_url": product.url}
    assert api.post("/playground/callback_url", json=body).json()["ok"] is True
    body = {"callback_url": "http://127.0.0.1:9/callback"}
    answer = api.post("/playground/callback_url", json=body).json()
    assert (answer["ok"], answer["reason"]) == (False, "no answer: ConnectionRefusedError")
    assert api.get("/playground/counts").json()["checks_failed"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_attack_reaches_the_product_and_its_answer_is_told(
    api: httpx.Client, product: Product, kind: str
) -> None:
    product.answer = lambda _xml: Response("taken", status=202)
    answer = api.post("/playground/attack", json={"kind": kind}).json()
    assert len(product.queries) == (2 if kind == "replayed_nonce" else 1)
    assert answer["status"] in (202, 403)
    assert ("taken" in answer["body"]) == (answer["status"] == 202)


def test_an_attack_needs_an_address(api: httpx.Client, platform: Platform) -> None:
    platform.courier.callback_url = ""
    assert api.post("/playground/attack", json={"kind": "garbage"}).status_code == 409


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("messages", {"text": "x"}, "user"),
        ("messages", {"user": "zhang", "text": "x", "copies": 21}, "copies"),
        ("messages", {"user": "zhang", "text": "x", "copies": 0}, "copies"),
        ("messages", {"user": "zhang", "kind": "poem"}, "kind"),
        ("messages", {"user": "zhang", "txt": "x"}, "txt"),
        ("messages", [], "body"),
        ("replay", {"copies": 1}, "msg_id"),
        ("script", {"call": "send", "fault": "earthquake"}, "fault"),
        ("script", {"call": "", "fault": "http_500"}, "call"),
        ("script", {"call": "send", "fault": "http_500", "times": 0}, "times"),
        ("attack", {"kind": "earthquake"}, "kind"),
        ("callback_url", {"callback_url": "file:///etc/passwd"}, "callback_url"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_by_the_fields_name(
    api: httpx.Client, path: str, body: object, field: str
) -> None:
    answer = api.post(f"/playground/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{field}: ")


def test_more_deliveries_than_there_is_room_for_are_refused(
    api: httpx.Client, platform: Platform
) -> None:
    platform.courier._free = threading.BoundedSemaphore(1)
    platform.courier._free.acquire()
    answer = api.post("/playground/messages", json={"user": "zhang", "text": "x"})
    assert answer.status_code == 429


def test_a_shelf_keeps_the_newest_over_all_names() -> None:
    shelf: Shelf[int] = Shelf(3)
    for number, name in enumerate(["a", "b", "a", "b", "b"]):
        shelf.add(name, number)
    assert (shelf.of("a"), shelf.of("b"), shelf.everything()) == ([2], [3, 4], [2, 3, 4])


def test_a_name_without_items_takes_no_room() -> None:
    shelf: Shelf[int] = Shelf(2)
    for number in range(1000):
        shelf.add(str(number), number)
    assert len(shelf._by_name) == 2


def test_a_door_goes_with_the_last_who_waits() -> None:
    ledger = Ledger()
    assert ledger.seen("zhang", wait_s=0.01) == []
    assert len(ledger._doors) == 0


def test_the_process_says_where_it_listens_and_ends_on_sigterm(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**CONFIG, "platform_port": port, "phone_port": 0}))
        command = [sys.executable, "-m", "playground.wechat", "--config", str(path)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout
        word, _, said = process.stdout.readline().partition(" ")
        urls = json.loads(said)
        assert word == "ready"
        assert httpx.get(f"{urls['platform_url']}/playground/counts", trust_env=False).json()
        assert httpx.get(urls["phone_url"], trust_env=False).status_code == 200
        os.kill(process.pid, signal.SIGTERM)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"Port {port} is taken" in complaint


def test_a_configuration_with_an_unknown_name_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, "gap_z": 1}))
    command = [sys.executable, "-m", "playground.wechat", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "gap_z" in done.stderr
    assert "s3cret" not in done.stderr
