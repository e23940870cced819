"""The pictures' routes: what is drawn by the child process, and what becomes of what it cannot draw."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from tool_server.app import create_app
from tool_server.auth import Keys
from tool_server.settings import Settings, load

pytestmark = pytest.mark.usefixtures("fonts")
MARKS = json.dumps([{"kind": "caption", "text": "一号车间"}])


class Studio:
    """The tool server with these settings."""

    def __init__(self, folder: Path, **settings: str) -> None:
        environ = {f"SHENQIAO_{name.upper()}": value for name, value in settings.items()}
        self.settings: Settings = load(
            {
                "SHENQIAO_DATA_DIR": str(folder / "d"),
                "SHENQIAO_RUN_DIR": str(folder / "r"),
                "SHENQIAO_MODEL_ENABLED": "false",
                "SHENQIAO_KNOWLEDGE_ENABLED": "false",
                "SHENQIAO_CHANNEL_ENABLED": "false",
                **environ,
            }
        )
        app = create_app(self.settings)
        self.client: FlaskClient = app.test_client()
        self.channel = app.extensions["channel"]
        self.key = Keys.load(self.settings).secret("knowledge")

    def post(self, path: str, **more: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.client.post(path, headers=headers, **more)

    def annotate(self, picture: bytes, marks: str = MARKS, **fields: str) -> TestResponse:
        form = {"marks": marks, **fields, "picture": (io.BytesIO(picture), "a.png")}
        return self.post("/pictures/annotate", data=form)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tmp_path)
    yield studio
    studio.channel.close()


@pytest.fixture
def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (200, 100), "grey").save(out, "PNG")
    return out.getvalue()


def message_of(response: TestResponse) -> str:
    assert response.json is not None
    return str(response.json["error"]["message"])


def test_a_picture_with_marks_comes_back(studio: Studio, picture: bytes) -> None:
    answer = studio.annotate(picture)
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.data)).width == 200


def test_an_answer_comes_back_as_pages(studio: Studio) -> None:
    answer = studio.post("/pictures/render", json={"text": "**年假**有十二天。", "title": "年假"})
    assert answer.json is not None
    (page,) = answer.json["pages"]
    assert answer.json["type"] == "image/png"
    assert not answer.json["truncated"]
    assert base64.b64decode(page).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("marks", "fields", "sentence"),
    [
        ("[]", {}, "marks: List should have at least 1 item"),
        ("", {}, "marks: "),
        (MARKS, {"units": "miles"}, "units: "),
        (MARKS, {"more": "x"}, "more: "),
    ],
)
def test_a_wrong_field_is_named(
    studio: Studio, picture: bytes, marks: str, fields: dict[str, str], sentence: str
) -> None:
    refused = studio.annotate(picture, marks, **fields)
    assert refused.status_code == 400
    assert message_of(refused).startswith(sentence)


def test_no_picture_is_no_picture(studio: Studio) -> None:
    assert message_of(studio.post("/pictures/annotate", data={"marks": MARKS})) == (
        "picture: send one picture."
    )
    assert message_of(studio.annotate(b"x")).startswith("picture: it is damaged")


def test_a_picture_over_the_bound_is_not_read(tmp_path: Path) -> None:
    studio = Studio(tmp_path, pictures_input_bytes="1024")
    assert studio.annotate(b"x" * 400_000).status_code == 413
    studio.channel.close()


def test_a_drawing_that_needs_too_much_memory_costs_one_request(
    tmp_path: Path, picture: bytes
) -> None:
    studio = Studio(tmp_path, pictures_memory_mb="256", pictures_pixels="89000000")
    out = io.BytesIO()
    Image.new("RGB", (9400, 9400)).save(out, "PNG")
    refused = studio.annotate(out.getvalue())
    assert refused.status_code == 400
    assert "memory" in message_of(refused)
    assert studio.annotate(picture).status_code == 200
    studio.channel.close()


def test_without_a_font_the_answer_says_what_to_install(tmp_path: Path, picture: bytes) -> None:
    studio = Studio(tmp_path, font=str(tmp_path / "none.ttf"))
    refused = studio.annotate(picture)
    assert refused.status_code == 503
    assert message_of(refused).startswith("SHENQIAO_FONT names no file")
    assert str(tmp_path) not in refused.text
    studio.channel.close()


def test_a_key_of_another_scope_draws_nothing(studio: Studio, picture: bytes) -> None:
    studio.key = Keys.load(studio.settings).secret("model")
    assert studio.annotate(picture).status_code == 403
