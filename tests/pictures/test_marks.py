"""Marks as tools are told them: what is wrong is named by the mark's number and its field."""

import json
from typing import Any

import pytest

from tool_server.errors import BadRequest
from tool_server.pictures.marks import MARKS, Arrow, Box, Caption, check_inside, read_marks

BOX = {"kind": "box", "box": [1, 2, 30, 40], "text": "配电柜"}
ARROW = {"kind": "arrow", "from": [1, 2], "to": [30, 40]}
CAPTION = {"kind": "caption", "text": "一号车间"}


def read(*marks: dict[str, Any]) -> list[Any]:
    return list(read_marks(json.dumps(marks)))


def test_each_kind_is_read() -> None:
    box, arrow, caption = read(BOX, ARROW, CAPTION)
    assert isinstance(box, Box)
    assert isinstance(arrow, Arrow)
    assert isinstance(caption, Caption)
    assert arrow.start == (1, 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nope", "marks: Invalid JSON"),
        ("{}", "marks: Input should be a valid array"),
        ("[]", "marks: List should have at least 1 item"),
        (json.dumps([BOX] * (MARKS + 1)), "marks: List should have at most 50 items"),
        ('[{"kind": "circle"}]', "marks, number 1: Input tag 'circle'"),
        (json.dumps([BOX, {**ARROW, "to": [1]}]), "marks, number 2, to.1: Field required"),
        (json.dumps([{**BOX, "box": [1, 2, 3, "x"]}]), "marks, number 1, box.3: "),
        (json.dumps([{**BOX, "box": [1, 2, 3, 1e300]}]), "marks, number 1, box.3: "),
        ('[{"kind": "box", "box": [1, 2, 3, NaN]}]', "marks, number 1, box.3: "),
        (json.dumps([{**CAPTION, "text": ""}]), "marks, number 1, text: "),
        (json.dumps([{**CAPTION, "color": "pink"}]), "marks, number 1, color: "),
        (json.dumps([{**CAPTION, "size": 9}]), "marks, number 1, size: Extra inputs"),
        ("[" * 100_000, "marks: "),
    ],
)
def test_a_mark_that_cannot_be_is_named(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_marks(text)
    assert caught.value.message.startswith(sentence)


def test_a_mark_outside_of_the_picture_is_named() -> None:
    with pytest.raises(BadRequest, match=r"marks, number 2 \(arrow\): it lies outside"):
        check_inside(read(BOX, {**ARROW, "from": [200, 1], "to": [300, 9]}), 100, 100)
    check_inside(read(BOX, CAPTION, {**ARROW, "to": [300, 9]}), 100, 100)
