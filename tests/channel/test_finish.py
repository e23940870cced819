"""From an answer to the messages that bring it: within every quota, with files, pages only for whom they may be."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from flask import Flask, Response
from PIL import Image

from playground.serving import Server
from playground.wechat.platform import Platform
from tests.channel.finishing import FILES, Bench, account_of, texts
from tests.channel.wecom import serve_platform
from tool_server.channel import tickets
from tool_server.channel.dify import Answered, Produced, Source
from tool_server.channel.download import Downloader
from tool_server.channel.outbound import AMR, is_short_amr
from tool_server.channel.page import Page, Pages
from tool_server.channel.schema import pages
from tool_server.channel.surface import (
    File,
    Limits,
    Picture,
    Text,
    Thumbs,
)
from tool_server.channel.surfaces import wecom_app, wecom_bot
from tool_server.channel.wecom_api import WeComApi
from tool_server.database import Database
from tool_server.settings import Settings

SENTENCE = "员工每年享有十二天带薪年假，当年没有休完的可以顺延到次年三月。"
APP = wecom_app.LIMITS
KF = Limits(2048, 16, "push", "plain", pieces=5)
BOT = Limits(20480, 16, "stream", "full", pieces=1)
SURFACES = {"wecom_app": APP, "wecom_kf": KF, "wecom_bot": BOT}
PUBLIC = "https://bot.corp.cn"


@pytest.fixture
def dify_host() -> Iterator[str]:
    """Dify's own files, by their names; `away` leads to somewhere else."""
    app = Flask("files")

    @app.get("/files/<name>")
    def file(name: str) -> Response:
        if name == "away":
            return Response(status=302, headers={"Location": "http://169.254.169.254/latest"})
        return Response(FILES[name]) if name in FILES else Response(status=404)

    with Server(app) as server:
        yield server.url


@pytest.fixture
def platform_at() -> Iterator[tuple[Platform, str]]:
    with serve_platform() as found:
        yield found


@pytest.fixture
def bench(
    database: Database, settings: Settings, platform_at: tuple[Platform, str]
) -> Iterator[Bench]:
    platform, url = platform_at
    api, downloader = WeComApi(url, timeout_s=5), Downloader(timeout_s=5)
    yield Bench(database, settings, platform, api, downloader)
    api.close()
    downloader.close()


@pytest.mark.parametrize("public_url", ["", PUBLIC])
@pytest.mark.parametrize("sentences", [1, 20, 50, 100, 200, 700, 3000])
@pytest.mark.parametrize("surface", SURFACES)
def test_no_answer_is_over_the_quota_or_the_bytes_of_its_surface(
    bench: Bench, surface: str, sentences: int, public_url: str
) -> None:
    limits, account = SURFACES[surface], account_of(surface, ai_label=True)
    finisher = bench.finisher(channel_public_url=public_url)
    contents = finisher.finish(bench.job(), account, limits, Answered(SENTENCE * sentences, "c"))
    shown = texts(contents)
    assert 1 <= len(shown) <= min(limits.pieces or 5, 5)
    assert all(len(text.encode()) <= limits.piece_bytes for text in shown)
    assert shown[-1].endswith("（内容由 AI 生成）")
    whole = "".join(shown).count(SENTENCE) >= sentences - len(shown)
    honest = "前面的部分" in shown[-1] or f"{PUBLIC}/channel/answers/" in shown[-1]
    assert whole or honest


def test_an_answer_over_the_quota_is_one_piece_and_a_link_to_all_of_it(bench: Bench) -> None:
    finisher = bench.finisher(channel_public_url=PUBLIC)
    long = Answered(f"# 年假\n\n{SENTENCE * 400}", "c")
    [shown] = texts(finisher.finish(bench.job(), account_of("wecom_app"), APP, long))
    address = shown.partition('<a href="')[2].partition('"')[0]
    page = finisher.pages.read(address.rpartition("/")[2])
    assert page is not None
    assert page.text.count(SENTENCE) == 400
    assert page.user == ""


def test_only_a_digest_of_a_pages_address_is_stored(bench: Bench) -> None:
    finisher = bench.finisher(channel_public_url=PUBLIC)
    [shown] = texts(
        finisher.finish(bench.job(), account_of("wecom_kf"), KF, Answered(SENTENCE * 400, "c"))
    )
    secret = shown.partition("/channel/answers/")[2].partition(")")[0]
    rows = bench.database.read(lambda db: db.execute(sa.select(pages)).all())
    assert len(secret) >= 32
    assert secret not in str(rows)


def test_an_answer_that_rests_on_closed_passages_has_a_page_for_its_asker_alone(
    bench: Bench,
) -> None:
    finisher = bench.finisher(channel_public_url=PUBLIC)
    job = bench.job()
    tickets.note_given(bench.database, job.ticket, [], closed=True)
    finisher.finish(job, account_of("wecom_app"), APP, Answered(SENTENCE * 400, "c"))
    assert [page.user for page in bench.stored()] == ["zhang"]


def test_what_memory_may_repeat_of_closed_passages_is_for_its_asker_alone(bench: Bench) -> None:
    finisher = bench.finisher(channel_public_url=PUBLIC)
    tickets.note_given(bench.database, bench.job().ticket, [], closed=True)
    finisher.finish(
        bench.job("再说详细一点"), account_of("wecom_app"), APP, Answered(SENTENCE * 400, "c")
    )
    finisher.finish(
        bench.job(user="li"), account_of("wecom_app"), APP, Answered(SENTENCE * 400, "c")
    )
    assert [page.user for page in bench.stored()] == ["zhang", ""]


@pytest.mark.parametrize("surface", ["wecom_kf", "wecom_bot"])
def test_where_nobody_can_sign_in_closed_passages_have_no_page(bench: Bench, surface: str) -> None:
    finisher = bench.finisher(channel_public_url=PUBLIC)
    job = bench.job()
    tickets.note_given(bench.database, job.ticket, [], closed=True)
    shown = texts(
        finisher.finish(job, account_of(surface), SURFACES[surface], Answered(SENTENCE * 999, "c"))
    )
    assert bench.stored() == []
    assert "前面的部分" in shown[-1]


def test_the_address_of_callbacks_alone_makes_no_pages(bench: Bench) -> None:
    finisher = bench.finisher(channel_public_url="https://dify.corp.cn/e/hook/{account}")
    shown = texts(
        finisher.finish(bench.job(), account_of("wecom_app"), APP, Answered(SENTENCE * 400, "c"))
    )
    assert len(shown) == 5
    assert "前面的部分" in shown[-1]


def test_a_cut_answer_still_names_its_sources(bench: Bench) -> None:
    source = Source("员工手册", f"[1] 员工手册\n{SENTENCE}")
    answered = Answered(f"见 [1]。{SENTENCE * 400}", "c", (source,))
    shown = texts(bench.finisher().finish(bench.job(), account_of("wecom_kf"), KF, answered))
    assert "来源：[1] 员工手册" in shown[-1]


def test_of_a_model_that_does_not_stop_as_much_is_shown_as_the_setting_says(bench: Bench) -> None:
    finisher = bench.finisher(channel_answer_characters=1000, channel_public_url=PUBLIC)
    endless = Answered(f"{SENTENCE * 300}<think>{SENTENCE}</think>", "c")
    finisher.finish(
        bench.job(),
        account_of("wecom_app", dify_url="http://127.0.0.1:9/v1"),
        replace(APP, piece_bytes=300),
        endless,
    )
    [page] = bench.stored()
    assert len(page.text) < 1100
    assert "前面的部分" in page.text


def test_files_become_media_of_the_platform_in_the_kinds_that_it_takes(
    bench: Bench, dify_host: str
) -> None:
    kinds = {"a.png": "image", "b.webp": "image", "c.pdf": "file", "d.amr": "voice"}
    files = tuple(
        Produced(
            "voice" if name == "d.amr" else "image" if kind == "image" else "file",
            f"{dify_host}/files/{name}",
        )
        for name, kind in kinds.items()
    )
    account = account_of("wecom_app", f"{dify_host}/v1")
    contents = bench.finisher().finish(
        bench.job(), account, APP, Answered("好的。", "c", files=files)
    )
    sent = [content for content in contents if isinstance(content, File)]
    assert [file.kind for file in sent] == list(kinds.values())
    held = [bench.platform.media.get(file.media_id) for file in sent]
    data = [medium.data for medium in held if medium is not None]
    assert data[0] == FILES["a.png"]
    assert data[1].startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    "address",
    [
        "{host}/files/missing",
        "{host}/files/empty",
        "{host}/files/away",
        "http://127.0.0.1:9/files/x",
        "file:///etc/passwd",
    ],
)
def test_a_file_that_cannot_be_sent_is_named_and_the_answer_comes_all_the_same(
    bench: Bench, dify_host: str, address: str
) -> None:
    files = (Produced("file", address.format(host=dify_host), "报表.xlsx"),)
    account = account_of("wecom_app", f"{dify_host}/v1")
    contents = bench.finisher().finish(
        bench.job(), account, APP, Answered("好的。", "c", files=files)
    )
    assert contents == [Text("好的。\n\n（有文件未能发送：报表.xlsx）")]


def test_an_upload_that_the_platform_refuses_costs_the_file_alone(
    bench: Bench, dify_host: str
) -> None:
    account = account_of("wecom_app", f"{dify_host}/v1", secret="wrong")
    files = (Produced("image", f"{dify_host}/files/a.png", "图"),)
    contents = bench.finisher().finish(
        bench.job(), account, APP, Answered("好的。", "c", files=files)
    )
    assert texts(contents) == ["好的。\n\n（有文件未能发送：图）"]


def test_files_count_in_the_quota(bench: Bench, dify_host: str) -> None:
    files = tuple(Produced("image", f"{dify_host}/files/a.png?{n}") for n in range(9))
    account = account_of("wecom_kf", f"{dify_host}/v1")
    contents = bench.finisher().finish(
        bench.job(), account, KF, Answered(SENTENCE * 200, "c", files=files)
    )
    assert len(contents) == 5
    assert "未能发送" in texts(contents)[-1] or "前面的部分" in texts(contents)[-1]


def test_a_bot_gets_links_to_files_of_its_own_dify(bench: Bench, dify_host: str) -> None:
    files = (Produced("file", f"{dify_host}/files/c.pdf", "报表"),)
    account = account_of("wecom_bot", f"{dify_host}/v1")
    [shown] = texts(
        bench.finisher().finish(bench.job(), account, BOT, Answered("好的。", "c", files=files))
    )
    assert shown == f"好的。\n\n[报表]({dify_host}/files/c.pdf)"


def test_pictures_of_a_bots_answer_go_with_its_stream_and_other_files_stay_links(
    bench: Bench, dify_host: str
) -> None:
    names = {"a.png": "image", "b.webp": "image", "c.pdf": "file", "missing": "image"}
    files = tuple(
        Produced(kind, f"{dify_host}/files/{name}", name)  # type: ignore[arg-type]  # a kind of media
        for name, kind in names.items()
    )
    account = account_of("wecom_bot", f"{dify_host}/v1")
    text, *shown = bench.finisher().finish(
        bench.job(), account, wecom_bot.LIMITS, Answered("好的。", "c", files=files)
    )
    pictures = [one for one in shown if isinstance(one, Picture)]
    assert [one.name for one in pictures] == ["a.png", "b.jpg"]
    assert pictures[0].data == FILES["a.png"]
    assert pictures[1].data.startswith(b"\xff\xd8\xff")
    assert text == Text(
        f"好的。\n\n[c.pdf]({dify_host}/files/c.pdf)\n\n[missing]({dify_host}/files/missing)"
    )


def test_pictures_of_a_stream_are_made_as_small_as_all_of_them_together_may_be(
    bench: Bench, dify_host: str
) -> None:
    out = io.BytesIO()
    Image.effect_noise((1200, 900), 90).convert("RGB").save(out, "PNG")
    FILES["noise.png"] = out.getvalue()
    files = tuple(Produced("image", f"{dify_host}/files/noise.png?{n}") for n in range(3))
    account, finisher = account_of("wecom_bot", f"{dify_host}/v1"), bench.finisher()
    shown = finisher.finish(
        bench.job(), account, wecom_bot.LIMITS, Answered("好的。", "c", files=files)
    )
    sizes = [len(one.data) for one in shown if isinstance(one, Picture)]
    assert len(FILES["noise.png"]) > 768 * 1024
    assert len(sizes) == 3
    assert sum(sizes) <= 768 * 1024


def test_an_answer_of_a_picture_alone_has_a_word_for_the_stream_to_end_with(
    bench: Bench, dify_host: str
) -> None:
    files = (Produced("image", f"{dify_host}/files/a.png", "a.png"),)
    account = account_of("wecom_bot", f"{dify_host}/v1")
    text, _ = bench.finisher().finish(
        bench.job(), account, wecom_bot.LIMITS, Answered("", "c", files=files)
    )
    assert text == Text("图片")


@pytest.mark.parametrize(
    ("before", "question", "default", "begins"),
    [
        ("How many days?", "1+1?", "zh", "Sorry"),
        ("年假有几天？", "1+1?", "en", "抱歉"),
        ("", "1+1?", "zh", "抱歉"),
        ("", "休假は何日ですか", "en", "Sorry"),
        ("How many days?", "請問年假有幾天", "en", "抱歉"),
        ("年假有几天？", "How many days?", "zh", "Sorry"),
    ],
)
def test_a_person_is_answered_in_the_language_of_the_question_or_of_those_before(
    bench: Bench, before: str, question: str, default: str, begins: str
) -> None:
    if before:
        bench.job(before)
    account = account_of("wecom_app", language=default)
    contents = bench.finisher().finish(bench.job(question), account, APP, Answered("", "c"))
    assert texts(contents)[0].startswith(begins)


def test_thumbs_come_below_the_answer_where_the_account_wants_them_and_count(bench: Bench) -> None:
    account = account_of("wecom_app", feedback=True)
    contents = bench.finisher().finish(bench.job(), account, APP, Answered(SENTENCE * 400, "c"))
    assert len(contents) == 5
    assert isinstance(contents[-1], Thumbs)
    bodies = wecom_app.bodies(account, bench.job().address, contents, message_id=1)
    card = json.loads(bodies[-1])["template_card"]
    assert card["task_id"] == contents[-1].task != ""
    assert [button["key"] for button in card["button_list"]] == ["like", "dislike"]


def test_where_one_message_is_all_there_are_no_thumbs(bench: Bench) -> None:
    finisher, account = bench.finisher(channel_pieces=1), account_of("wecom_app", feedback=True)
    contents = finisher.finish(bench.job(), account, APP, Answered(SENTENCE * 400, "c"))
    assert [type(content) for content in contents] == [Text]


def test_markdown_of_an_app_goes_out_as_markdown_and_never_passively(bench: Bench) -> None:
    account = account_of("wecom_app", markup="markdown")
    assert not account.passive
    [body] = wecom_app.bodies(account, bench.job().address, [Text("**12**")], message_id=1)
    assert json.loads(body)["markdown"] == {"content": "**12**"}


def test_an_expired_page_is_gone(bench: Bench) -> None:
    now = [1000.0]
    kept = Pages(bench.database, ttl_s=60, clock=lambda: now[0])
    page = Page(bench.job().id, "acc", "", "文", "zh", kept.expiry())
    secret = kept.keep(page)
    assert kept.read(secret) == page
    now[0] += 61
    assert kept.read(secret) is None
    kept.keep(replace(page, expires_at=kept.expiry()))
    assert len(bench.stored()) == 1


@pytest.mark.parametrize(
    ("data", "short"),
    [
        (AMR + (b"\x3c" + b"\x00" * 31) * 50 * 59, True),
        (AMR + (b"\x3c" + b"\x00" * 31) * 50 * 61, False),
        (b"ID3", False),
    ],
)
def test_a_voice_message_is_amr_of_at_most_a_minute(data: bytes, short: bool) -> None:
    assert is_short_amr(data) is short
