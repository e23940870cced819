"""Uploads over real HTTP against a real `serve`: nothing acknowledged is lost, nothing of a name reaches the disk."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.knowledge.jobs.conftest import Served
from tests.waiting import until
from tool_server.errors import BadRequest
from tool_server.knowledge.jobs import uploads
from tool_server.knowledge.jobs.uploads import Upload, clean_name, clean_prefix
from tool_server.knowledge.search import Knowledge


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("shared")
    with Served(folder, SHENQIAO_KNOWLEDGE_UPLOAD_FILES="3") as served:
        yield served


def left(served: Served) -> list[Path]:
    """Uploads that lie on the disk."""
    return [path for path in (served.data_dir / "uploads").rglob("*") if path.is_file()]


def test_what_was_uploaded_is_found_and_its_bytes_are_gone(shared: Served) -> None:
    files = (("指南/年假.md", "# 假期\n\n## 年假\n十二天斑马".encode()), ("b.txt", b"wombat here"))
    done = shared.ended(shared.upload(*files, base="found", prefix="hr/2024"))
    assert [(file["name"], file["state"]) for file in done["files"]] == [
        ("hr/2024/年假.md", "indexed"),
        ("hr/2024/b.txt", "indexed"),
    ]
    (passage,) = shared.search("wombat")
    assert (passage["source_id"], passage["document_title"]) == ("hr/2024/b.txt", "b")
    assert left(shared) == []


def test_a_file_of_the_same_name_updates_the_document(shared: Served) -> None:
    shared.ended(shared.upload(("up.txt", b"platypus one"), base="update"))
    (before,) = shared.search("platypus")
    shared.ended(shared.upload(("up.txt", b"platypus two"), base="update"))
    (after,) = shared.search("platypus")
    assert before["document_id"] == after["document_id"]
    assert after["content"] == "platypus two"
    same = shared.ended(shared.upload(("up.txt", b"platypus two"), base="update"))
    assert same["files"][0]["state"] == "unchanged"
    other = shared.ended(shared.upload(("up.txt", b"platypus two"), base="update", title="Beaks"))
    assert other["files"][0]["state"] == "indexed"
    assert shared.search("platypus")[0]["document_title"] == "Beaks"


def test_what_is_said_about_an_upload_is_kept(shared: Served) -> None:
    said = {"title": "Law", "url": "https://example.org/law", "metadata": '{"year": 2024}'}
    done = shared.ended(shared.upload(("l.txt", b"quokka"), base="about", **said))
    assert done["job"]["state"] == "done"
    (passage,) = shared.search("quokka")
    assert (passage["document_title"], passage["url"]) == ("Law", "https://example.org/law")


def test_access_narrows_who_finds_it(shared: Served) -> None:
    shared.ended(shared.upload(("s.txt", b"okapi secret"), base="narrow", access="user:acme/ann"))
    assert shared.search("okapi") == []


def test_a_refused_file_is_listed_with_its_reason_and_can_be_tried_again(shared: Served) -> None:
    done = shared.ended(shared.upload(("bad.jsonl", b"{"), ("ok.txt", b"fine"), base="refused"))
    assert (done["job"]["state"], done["job"]["files_refused"]) == ("done", 1)
    listed = shared.http.get("/knowledge/bases/refused/documents").json()["documents"]
    assert [(entry["source_id"], entry["state"], entry["reason"]) for entry in listed] == [
        ("bad.jsonl", "refused", "line 1 is not JSON"),
        ("ok.txt", "indexed", ""),
    ]
    again = shared.http.post(f"/knowledge/jobs/{done['job']['id']}/retry")
    ended = shared.ended(again)
    assert [file["state"] for file in ended["files"]] == ["refused", "indexed"]
    assert ended["job"]["attempts"] == 2
    assert shared.http.delete(f"/knowledge/documents/{listed[0]['id']}").status_code == 200
    (entry,) = shared.http.get("/knowledge/bases/refused/documents").json()["documents"]
    assert entry["source_id"] == "ok.txt"
    assert shared.http.delete(f"/knowledge/documents/{listed[0]['id']}").status_code == 404
    for path in left(shared):
        path.unlink()


def test_a_document_that_is_deleted_is_found_no_longer_and_can_come_back(shared: Served) -> None:
    shared.ended(shared.upload(("d.txt", b"narwhal"), base="gone"))
    (passage,) = shared.search("narwhal")
    deleted = shared.http.delete(f"/knowledge/documents/{passage['document_id']}")
    assert deleted.status_code == 200
    assert shared.search("narwhal") == []
    assert shared.http.delete(f"/knowledge/documents/{passage['document_id']}").status_code == 404
    shared.ended(shared.upload(("d.txt", b"narwhal"), base="gone"))
    assert len(shared.search("narwhal")) == 1


def test_lists_come_in_pages(shared: Served) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        shared.ended(shared.upload((name, b"page"), base="paged"))
    url = "/knowledge/bases/paged/documents"
    first = shared.http.get(url, params={"limit": 2}).json()
    second = shared.http.get(url, params={"limit": 2, "after": first["after"]}).json()
    names = [entry["source_id"] for entry in first["documents"] + second["documents"]]
    assert (names, second["after"]) == (["a.txt", "b.txt", "c.txt"], None)
    jobs = shared.http.get("/knowledge/jobs", params={"base": "paged", "limit": 2}).json()
    older = {"base": "paged", "limit": 2, "before": jobs["before"]}
    assert len(shared.http.get("/knowledge/jobs", params=older).json()["jobs"]) == 1


def test_progress_comes_as_events_until_the_job_has_ended(shared: Served) -> None:
    lines = "\n".join(json.dumps({"id": at, "text": f"event{at}"}) for at in range(3000))
    number = shared.upload(("e.jsonl", lines.encode()), base="events").json()["job"]["id"]
    with shared.http.stream("GET", f"/knowledge/jobs/{number}/events") as events:
        told = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done"
    assert [job["documents"] for job in told] == sorted(job["documents"] for job in told)
    assert told[-1]["documents"] == 3000


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"metadata": "{"}, 400, "metadata"),
        ({"metadata": '{"a": [1]}'}, 400, "metadata"),
        ({"access": "everybody"}, 400, "access"),
        ({"colour": "red"}, 400, "colour"),
        ({"prefix": "../up"}, 400, "prefix"),
        ({"title": "x" * 501}, 400, "title"),
    ],
)
def test_a_wrong_field_is_named_and_leaves_nothing(
    shared: Served, fields: dict[str, str], status: int, field: str
) -> None:
    answer = shared.upload(("a.txt", b"text"), base="wrong", **fields)
    named = answer.json()["error"]["field"]
    assert (answer.status_code, named.split(".")[0]) == (status, field), answer.text
    assert left(shared) == []


def test_too_many_or_too_large_files_are_a_413(shared: Served) -> None:
    many = [(f"{at}.txt", b"x") for at in range(4)]
    assert shared.upload(*many).status_code == 413
    assert shared.upload(("a.txt", b"x" * (51 * 1024 * 1024))).status_code == 413
    assert left(shared) == []


def test_no_form_and_no_file_are_a_400(shared: Served) -> None:
    url = "/knowledge/bases/kb/files"
    assert shared.http.post(url, content=b"x").status_code == 400
    assert shared.http.post(url, files={"title": (None, b"x")}).status_code == 400
    assert shared.upload(("a.txt", b"x"), base="Not a name").status_code == 400


def test_only_an_editor_may(shared: Served) -> None:
    headers = {"Authorization": f"Bearer {shared.keys['knowledge']}"}
    for method, url in (
        ("POST", "/knowledge/bases/kb/files"),
        ("POST", "/knowledge/bases/kb/urls"),
        ("GET", "/knowledge/bases/kb/documents"),
        ("GET", "/knowledge/jobs"),
        ("GET", "/knowledge/jobs/1"),
        ("GET", "/knowledge/jobs/1/events"),
        ("POST", "/knowledge/jobs/1/cancel"),
        ("POST", "/knowledge/jobs/1/retry"),
        ("DELETE", "/knowledge/documents/x"),
    ):
        assert shared.http.request(method, url, headers=headers).status_code == 403, url


def test_without_a_page_host_no_page_is_fetched(shared: Served) -> None:
    answer = shared.http.post("/knowledge/bases/kb/urls", json={"urls": ["https://example.org/"]})
    assert (answer.status_code, answer.json()["error"]["field"]) == (403, "urls")


@pytest.mark.thorough
def test_an_acknowledged_upload_survives_the_death_of_every_process(tmp_path: Path) -> None:
    with Served(tmp_path, SHENQIAO_KNOWLEDGE_QUEUE_JOBS="2") as served:
        os.kill(served.pid("indexer"), signal.SIGSTOP)  # nobody works
        first = served.upload(("a.txt", b"axolotl"))
        assert (first.status_code, served.upload(("b.txt", b"x")).status_code) == (202, 202)
        full = served.upload(("c.txt", b"x"))
        assert (full.status_code, full.json()["error"]["code"]) == (429, "busy")
        assert int(full.headers["Retry-After"]) > 0
        served.kill("indexer")
        served.kill("web")
        until(served.ready)
        number = first.json()["job"]["id"]
        until(lambda: served.job(number)["job"]["state"] == "done")
        assert served.search("axolotl")[0]["source_id"] == "a.txt"


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("a.md", "a.md"),
        ("../../etc/passwd", "passwd"),
        ("C:\\files\\年假.docx", "年假.docx"),
        ("a\x00b\n.txt", "a b .txt"),
    ],
)
def test_a_name_is_cleaned(given: str, known: str) -> None:
    assert clean_name(given) == known


@pytest.mark.parametrize("given", ["", "..", "a/", "x" * 300])
def test_a_name_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(BadRequest):
        clean_name(given)


def test_a_prefix_becomes_folders() -> None:
    assert clean_prefix("") == ""
    assert clean_prefix("/hr//2024/") == "hr/2024/"


def test_nothing_of_a_name_is_used_on_disk_but_a_plain_suffix(knowledge: Knowledge) -> None:
    upload = Upload(knowledge.settings)
    for name in ("../../a.MD", "b.jsonl;rm -rf", "c"):
        upload.open(name).write(b"x")
    names = [item.path.rpartition("/")[2] for item in upload.items("")]
    upload.close()
    assert names == ["0.md", "1", "2"]
    assert not list((knowledge.settings.data_dir / "uploads").iterdir())


def test_what_a_killed_request_left_is_swept_after_a_while(knowledge: Knowledge) -> None:
    folder = knowledge.settings.data_dir / "uploads" / "token"
    folder.mkdir(parents=True)
    (folder / "0.md").write_text("half")
    database = knowledge.catalogue.database
    assert uploads.sweep(knowledge.settings, database) == 0
    later = (folder / "0.md").stat().st_mtime + uploads.ORPHAN_S + 1
    assert uploads.sweep(knowledge.settings, database, now=lambda: later) == 1
    assert not (folder / "0.md").exists()


@pytest.mark.thorough
def test_what_shall_be_kept_is_kept_until_its_document_is_deleted(tmp_path: Path) -> None:
    with Served(tmp_path, SHENQIAO_KNOWLEDGE_UPLOAD_KEEP="true") as served:
        served.ended(served.upload(("k.txt", b"kookaburra")))
        (kept,) = left(served)
        assert kept.read_bytes() == b"kookaburra"
        assert kept.parent == served.data_dir / "uploads" / "kept" / "kb"
        (passage,) = served.search("kookaburra")
        served.http.delete(f"/knowledge/documents/{passage['document_id']}")
        assert left(served) == []
