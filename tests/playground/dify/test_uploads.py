"""Files of the stand-in's Service API: taken and refused as Dify does."""

import io
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from playground.dify.runs import Runs
from playground.dify.service_api import blueprint
from playground.dify.store import Store
from playground.dify.uploads import MB, BadFile, Uploads
from playground.dify.workflow import Workflow
from tests.playground.dify.apps import ROOT

ON: dict[str, Any] = {
    "file_upload": {"enabled": True, "allowed_file_types": ["image"], "number_limits": 2}
}


@pytest.fixture
def client() -> FlaskClient:
    workflow = Workflow(ROOT / "workflows" / "knowledge_assistant.yml")
    store = Store()
    app = Flask("dify")
    # No message is sent here: nothing that a run calls is needed.
    app.register_blueprint(blueprint(Runs(workflow, None, store), store, "app-k"))  # type: ignore[arg-type]
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Bearer app-k"
    return client


def named(upload_id: str, kind: str = "image", **more: str) -> dict[str, str]:
    return {"type": kind, "transfer_method": "local_file", "upload_file_id": upload_id, **more}


def test_a_file_is_taken_with_its_name_size_and_kind(client: FlaskClient) -> None:
    form = {"file": (io.BytesIO(b"png"), "图.png"), "user": "zhang"}
    answer = client.post("/v1/files/upload", data=form)
    assert answer.status_code == 201
    body = answer.get_json()
    assert (body["name"], body["size"], body["extension"]) == ("图.png", 3, "png")


def test_an_upload_needs_one_file_and_a_user(client: FlaskClient) -> None:
    answer = client.post("/v1/files/upload", data={"user": "zhang"})
    assert answer.get_json()["code"] == "no_file_uploaded"
    answer = client.post("/v1/files/upload", data={"file": (io.BytesIO(b"x"), "a.png")})
    assert answer.get_json()["code"] == "invalid_param"


def test_a_file_over_its_kinds_limit_is_refused() -> None:
    uploads = Uploads()
    assert uploads.add("zhang", "a.pdf", "", b"x" * 15 * MB).kind == "document"
    with pytest.raises(BadFile) as caught:
        uploads.add("zhang", "a.png", "", b"x" * (10 * MB + 1))
    assert (caught.value.status, caught.value.code) == (413, "file_too_large")


def test_a_message_names_files_of_its_own_person_only() -> None:
    uploads = Uploads()
    held = uploads.add("zhang", "a.png", "image/png", b"png")
    (found,) = uploads.of_message("zhang", [named(held.id)], ON)
    assert found == held
    row = found.as_message_file()
    assert (row["upload_file_id"], row["belongs_to"]) == (held.id, "user")
    for user, upload_id in (("li", held.id), ("zhang", "unknown")):
        with pytest.raises(BadFile, match="Invalid upload file"):
            uploads.of_message(user, [named(upload_id)], ON)


@pytest.mark.parametrize("name", ["a.pdf", "a.mp4"])
def test_a_kind_that_the_app_does_not_allow_is_refused(name: str) -> None:
    uploads = Uploads()
    held = uploads.add("zhang", name, "", b"data")
    with pytest.raises(BadFile, match="not allowed"):
        uploads.of_message("zhang", [named(held.id, held.kind)], ON)
    with pytest.raises(BadFile, match="does not match"):
        uploads.of_message("zhang", [named(held.id)], ON)


def test_too_many_files_are_refused_and_an_app_without_upload_drops_them() -> None:
    uploads = Uploads()
    held = uploads.add("zhang", "a.png", "", b"png")
    with pytest.raises(BadFile, match="maximum"):
        uploads.of_message("zhang", [named(held.id)] * 3, ON)
    assert uploads.of_message("zhang", [named(held.id)], {"file_upload": {"enabled": False}}) == []
