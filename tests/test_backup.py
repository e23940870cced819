"""Backup and restore: the same answers afterwards, no secrets in it, nothing that was tampered with."""

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from playground.processes import environment
from tool_server import backup
from tool_server.backup import BackupError
from tool_server.files import INSTALLATION
from tool_server.knowledge.ingest import ingest
from tool_server.knowledge.jobs.job import Request
from tool_server.knowledge.jobs.queue import Jobs, NewItem
from tool_server.knowledge.repair import Repair
from tool_server.knowledge.search import Knowledge, Question, search
from tool_server.migrate import migrate
from tool_server.settings import Settings, load

HANDBOOK = Path(__file__).parents[1] / "playground" / "handbook"
QUESTIONS = (
    *("年假有几天", "病假", "停车", "密码", "VPN", "报销", "加班", "打印机", "健身房", "班车"),
    *("annual leave", "sick leave", "parking", "password", "expenses", "overtime", "printer"),
    *("gym", "shuttle bus", "How do I reach the help desk?"),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load(
        {
            "SHENQIAO_DATA_DIR": str(tmp_path / "data"),
            "SHENQIAO_RUN_DIR": str(tmp_path / "r"),
            "SHENQIAO_MODEL_ENABLED": "false",
        }
    )
    migrate(settings)
    return settings


@pytest.fixture
def knowledge(settings: Settings) -> Iterator[Knowledge]:
    knowledge = Knowledge.open(settings)
    ingest(knowledge, "handbook", [HANDBOOK])
    yield knowledge
    knowledge.catalogue.close()


def answers(knowledge: Knowledge) -> list[list[dict[str, object]]]:
    return [
        [asdict(passage) for passage in search(knowledge, Question(query, top_k=10)).passages]
        for query in QUESTIONS
    ]


def tampered(source: Path, target: Path, *, name: str = "", body: bytes | None = None) -> Path:
    """A copy with one more member, or with another body for one."""
    with tarfile.open(source) as before, tarfile.open(target, "w") as after:
        for entry in before:
            content = before.extractfile(entry)
            assert content is not None
            data = body if entry.name == name and body is not None else content.read()
            entry.size = len(data)
            after.addfile(entry, io.BytesIO(data))
        if body is None:
            extra = tarfile.TarInfo(name)
            extra.size = 1
            after.addfile(extra, io.BytesIO(b"x"))
    return target


def test_a_restored_installation_gives_the_same_answers(
    settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    before = answers(knowledge)
    assert sum(map(len, before)) > 40
    (settings.data_dir / INSTALLATION).write_text("its name")
    backup.backup(settings.data_dir, tmp_path / "b.tar")
    knowledge.catalogue.close()
    shutil.rmtree(settings.data_dir)
    backup.restore(tmp_path / "b.tar", settings.data_dir)
    migrate(settings)
    restored = Knowledge.open(settings)
    Repair(restored).if_behind()
    assert answers(restored) == before
    assert (settings.data_dir / INSTALLATION).read_text() == "its name"
    restored.catalogue.close()


def test_the_backup_holds_no_secret_and_no_index(
    settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    for name in backup.APART:
        (settings.data_dir / name).write_text("secret")
    backup.backup(settings.data_dir, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as archive:
        assert archive.getnames() == [backup.MANIFEST, "shenqiao.db", "catalogue.db"]
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


def test_an_upload_that_waits_is_in_it_and_its_job_goes_on(
    settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    jobs = Jobs(settings, knowledge.catalogue.database)
    path = settings.data_dir / "uploads" / "token" / "0.txt"
    path.parent.mkdir(parents=True)
    path.write_text("zeppelin")
    item = NewItem("upload:z.txt", "z.txt", 8, "uploads/token/0.txt")
    number = jobs.enqueue("kb", "upload", Request(), [item])
    jobs.take("an indexer of another machine")
    backup.backup(settings.data_dir, tmp_path / "b.tar")
    other = settings.model_copy(update={"data_dir": tmp_path / "other"})
    backup.restore(tmp_path / "b.tar", other.data_dir)
    restored = Knowledge.open(other)
    assert Jobs(other, restored.catalogue.database).get(number).state == "queued"
    assert (other.data_dir / "uploads" / "token" / "0.txt").read_text() == "zeppelin"
    restored.catalogue.close()


def test_a_restore_never_overwrites(
    settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    backup.backup(settings.data_dir, tmp_path / "b.tar")
    with pytest.raises(BackupError, match="not empty"):
        backup.restore(tmp_path / "b.tar", settings.data_dir)
    with pytest.raises(BackupError, match="exists already"):
        backup.backup(settings.data_dir, tmp_path / "b.tar")


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("catalogue.db", b"other", "is damaged"),
        ("manifest.json", b"{}", "manifest is damaged"),
        (
            "manifest.json",
            b'{"format":2,"version":"9","made_at":1,"revisions":{},"members":{}}',
            "format 2",
        ),
        (
            "manifest.json",
            b'{"format":1,"version":"9","made_at":1,"revisions":{"catalogue.db":"9999"},"members":{}}',
            "newer version",
        ),
        (
            "manifest.json",
            b'{"format":1,"version":"9","made_at":1,"revisions":{},"members":{}}',
            "no backup of ours has",
        ),
        ("../evil", None, "no backup of ours has"),
        ("/tmp/evil", None, "no backup of ours has"),
        ("uploads/../../evil", None, "no backup of ours has"),
    ],
)
def test_what_was_tampered_with_is_refused_and_leaves_nothing(
    settings: Settings,
    knowledge: Knowledge,
    tmp_path: Path,
    name: str,
    body: bytes | None,
    reason: str,
) -> None:
    backup.backup(settings.data_dir, tmp_path / "b.tar")
    bad = tampered(tmp_path / "b.tar", tmp_path / "bad.tar", name=name, body=body)
    with pytest.raises(BackupError, match=reason):
        backup.restore(bad, tmp_path / "new" / "data")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_member_that_the_manifest_names_may_not_lie_outside(tmp_path: Path) -> None:
    assert not backup._is_ours("uploads/../../keys.json")
    assert not backup._is_ours("keys.json")
    assert not backup._is_ours("uploads")
    assert backup._is_ours("uploads/kept/kb/1.md")


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"x" * 2000)
    with pytest.raises(BackupError, match="is no backup"):
        backup.restore(tmp_path / "b.tar", tmp_path / "data")


def test_the_commands_say_what_must_be_saved_apart(
    settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    (settings.data_dir / "keys.json").write_text("{}")
    environ = environment(SHENQIAO_DATA_DIR=str(settings.data_dir))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tool_server", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    made = run("backup", str(tmp_path / "b.tar"))
    assert made.returncode == 0
    assert "keys.json" in made.stderr
    again = run("restore", str(tmp_path / "b.tar"))
    assert again.returncode == 1
    assert "not empty" in again.stderr
    environ["SHENQIAO_DATA_DIR"] = str(tmp_path / "new")
    assert run("restore", str(tmp_path / "b.tar")).returncode == 0
