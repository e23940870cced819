"""What comes with messages: fetched, decrypted, looked at, uploaded as its person, asked with."""

import base64
import io
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request

from playground.serving import Server
from playground.wechat.faults import Fault
from playground.wechat.media import encrypt, new_key
from playground.wechat.platform import Platform
from tests.channel.desk import Desk, texts
from tests.fakes.dify import FakeDify, Script
from tests.waiting import until
from tool_server.channel.filetype import file_type
from tool_server.channel.inbound import MediaError, decrypt
from tool_server.channel.surface import Media
from tool_server.channel.voice import Voice

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20
AMR = b"#!AMR\n" + b"voice" * 20
MP4 = b"\x00\x00\x00\x18ftypmp42" + b"frames" * 20
FILES: dict[str, Any] = {
    "file_upload": {
        "enabled": True,
        "allowed_file_types": ["image", "document"],
        "number_limits": 2,
    }
}


def zipped(part: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(part, "x")
    return buffer.getvalue()


@pytest.fixture
def files(dify: FakeDify) -> FakeDify:
    dify.features = FILES
    return dify


def picture(platform: Platform, data: bytes = PNG) -> tuple[Media, ...]:
    return (Media("image", platform.media.add("image", "", data)),)


def test_a_picture_waits_for_the_next_text_and_goes_with_it(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    (told,) = desk.say(kind="image", media=picture(platform))
    assert told == "收到，共 1 个文件。请接着写下您的问题，我会结合它们回答。"
    assert files.runs == []
    assert desk.say("这是什么？") == ["答：这是什么？"]
    assert files.uploads == [("zhang", "image.png", PNG)]
    assert files.runs[0].files == [
        {"type": "image", "transfer_method": "local_file", "upload_file_id": "upload-1"}
    ]


def test_a_picture_goes_with_one_question_only(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    desk.say(kind="image", media=picture(platform))
    desk.say("一")
    desk.say("二")
    assert [len(run.files) for run in files.runs] == [1, 0]


def test_of_many_pictures_the_newest_go_as_many_as_the_app_takes(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    for _ in range(3):
        desk.say(kind="image", media=picture(platform))
    desk.say("比较一下")
    ids = [file["upload_file_id"] for file in files.runs[0].files]
    assert ids == ["upload-2", "upload-3"]


def test_a_picture_is_its_own_persons_alone(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    desk.say(kind="image", media=picture(platform))
    desk.say("我的问题", user="li")
    assert files.runs[0].files == []


def test_a_picture_waits_no_longer_than_it_may(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    desk.say(kind="image", media=picture(platform))
    attachments = desk.asking.composer.attachments
    late = replace(attachments, clock=lambda: attachments.clock() + 601)
    object.__setattr__(desk.asking.composer, "attachments", late)
    desk.say("太晚了")
    assert files.runs[0].files == []


def test_a_new_conversation_leaves_what_waited(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    desk.say(kind="image", media=picture(platform))
    desk.say("/new")
    desk.say("一")
    assert files.runs[0].files == []


def test_a_question_that_failed_gives_its_picture_to_the_next_try(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    desk.say(kind="image", media=picture(platform))
    files.scripts["一"] = Script(run_error=True)
    desk.say("一")
    desk.say("再试")
    assert [len(run.files) for run in files.runs] == [1, 1]


def test_text_with_a_picture_is_asked_at_once(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    assert desk.say("看图", kind="mixed", media=picture(platform)) == ["答：看图"]
    assert len(files.runs[0].files) == 1


def test_another_lease_does_not_upload_twice(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    files.scripts["看图"] = Script(status=503, code="busy")
    desk.claim("看图", kind="mixed", media=picture(platform))
    assert desk.answer(desk.lease()) is None  # put off
    files.scripts.clear()
    composed = desk.answer(until(desk.work.lease))
    assert composed is not None
    assert texts(composed) == ["答：看图"]
    assert len(files.uploads) == 1


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("image", "这个助手看不了图片，请把问题用文字发给我。"),
        ("video", "这个助手看不了视频，请把问题用文字发给我。"),
        ("file", "这个助手读不了这种文件，请把问题用文字发给我。"),
        ("voice", "这个助手听不了语音，请把问题用文字发给我。"),
        ("location", "我还用不了位置信息，请把地点写在问题里发给我。"),
        ("merged_msg", "我还读不了转发的聊天记录，请把要问的内容复制成文字发给我。"),
        ("miniprogram", "我打不开小程序，请把问题用文字发给我。"),
        ("something", "这种消息我还读不了，请把问题用文字发给我。"),
    ],
)
def test_what_an_app_does_not_take_gets_its_sentence_and_runs_nothing(
    desk: Desk, dify: FakeDify, platform: Platform, kind: str, sentence: str
) -> None:
    media: tuple[Media, ...] = ()
    if kind in ("image", "video", "file", "voice"):
        data = {"image": PNG, "video": MP4, "file": b"%PDF-1.7", "voice": AMR}[kind]
        media = (Media(kind, platform.media.add(kind, "", data)),)  # type: ignore[arg-type]
    assert desk.say(kind=kind, media=media) == [sentence]
    assert dify.runs == []
    assert dify.uploads == []


def test_an_app_that_takes_documents_alone_is_sent_no_picture_as_a_file(
    desk: Desk, dify: FakeDify, platform: Platform
) -> None:
    dify.features = {"file_upload": {"enabled": True, "allowed_file_types": ["document"]}}
    media = (Media("file", platform.media.add("file", "a.png", PNG), name="a.png"),)
    assert desk.say(kind="file", media=media)[0].startswith("这个助手看不了图片")
    assert dify.uploads == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"MZ" + b"\x00" * 99, "这种文件我打不开"), (b"%PDF-1.7", "这种文件我打不开")],
)
def test_what_is_no_picture_is_not_taken_for_one(
    desk: Desk, files: FakeDify, platform: Platform, data: bytes, sentence: str
) -> None:
    assert desk.say(kind="image", media=picture(platform, data))[0].startswith(sentence)


def test_a_picture_that_is_too_large_is_named_so(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    data = PNG + b"x" * 10 * 1024 * 1024
    assert desk.say(kind="image", media=picture(platform, data)) == [
        "这个文件太大了，请发一个小一些的。"
    ]
    assert files.uploads == []


def test_a_file_of_20_megabytes_goes_to_dify(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    data = b"%PDF-1.7" + b"x" * (20 * 1024 * 1024 - 8)
    media = (Media("file", platform.media.add("file", "大.pdf", data), name="大.pdf"),)
    assert desk.say(kind="file", media=media)[0].startswith("收到")
    user, name, held = files.uploads[0]
    assert (user, name, len(held)) == ("zhang", "大.pdf", 20 * 1024 * 1024)


def test_a_file_that_is_gone_is_named_so(desk: Desk, files: FakeDify) -> None:
    assert desk.say(kind="image", media=(Media("image", "gone"),)) == [
        "抱歉，这个文件没能取到，请再发一次。"
    ]


def test_a_platform_that_is_busy_is_asked_again_later(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    platform.api.script(Fault("media/get", "errcode", times=9, code=-1))
    desk.claim(kind="image", media=picture(platform))
    assert desk.answer(desk.lease()) is None


@pytest.mark.parametrize("length", range(32))
def test_a_bots_encrypted_file_of_any_length_is_opened(length: int) -> None:
    data, key = PNG + b"x" * length, new_key()
    text = base64.b64encode(key).decode()
    assert decrypt(encrypt(data, key), text) == data
    assert decrypt(encrypt(data, key), text.rstrip("=")) == data


@pytest.mark.parametrize("damage", ["cut", "key", "short key", "empty", "padding"])
def test_an_encrypted_file_that_is_damaged_is_refused(damage: str) -> None:
    key = new_key()
    sealed, text = encrypt(PNG, key), base64.b64encode(key).decode()
    match damage:
        case "cut":
            sealed = sealed[:-1]
        case "key":
            text = "not base64 at all!"
        case "short key":
            text = base64.b64encode(key[:16]).decode()
        case "empty":
            sealed = b""
        case "padding":
            sealed = sealed[:-32]
    with pytest.raises(MediaError):
        decrypt(sealed, text)


def test_a_picture_behind_a_bots_address_is_fetched_and_opened(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    key = new_key()
    path = platform.media.seal(platform.media.add("image", "", PNG), key)
    media = (Media("image", desk.url + path, key=base64.b64encode(key).decode()),)
    assert desk.say("看图", kind="mixed", media=media) == ["答：看图"]
    assert files.uploads == [("zhang", "image.png", PNG)]


@pytest.mark.parametrize(
    "address", ["https://127.0.0.1/x", "http://10.1.2.3/x", "file:///etc/passwd"]
)
def test_an_address_that_leads_inside_is_not_fetched(
    desk: Desk, files: FakeDify, address: str
) -> None:
    media = (Media("image", address, key="x" * 43),)
    assert desk.say("看图", kind="mixed", media=media) == ["抱歉，这个文件没能取到，请再发一次。"]


@pytest.mark.parametrize(
    ("data", "name", "found"),
    [
        (b"\xff\xd8\xff\xe0", "", "jpg"),
        (PNG, "", "png"),
        (b"GIF89a", "", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "", "webp"),
        (b"%PDF-1.7", "a.txt", "pdf"),
        (AMR, "", "amr"),
        (b"\x02#!SILK_V3", "", "silk"),
        (MP4, "", "mp4"),
        (zipped("word/document.xml"), "", "docx"),
        (zipped("xl/workbook.xml"), "", "xlsx"),
        (zipped("ppt/presentation.xml"), "", "pptx"),
        ("第一行\n第二行".encode(), "说明.md", "md"),
        ("第一行".encode("gb18030"), "说明.TXT", "txt"),
    ],
)
def test_a_file_is_known_by_what_it_begins_with(data: bytes, name: str, found: str) -> None:
    kind = file_type(data, name)
    assert kind is not None
    assert kind.ending == found


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"MZ\x90\x00", "a.pdf"),
        (b"\x7fELF", "a.txt"),
        (b"PK\x03\x04broken", "a.docx"),
        (zipped("evil.exe"), "a.docx"),
        (b"text", "a.exe"),
        (b"text", ""),
        (b"a\x00b", "a.txt"),
        (b"", "a.txt"),
    ],
)
def test_a_name_alone_makes_no_file_known(data: bytes, name: str) -> None:
    assert file_type(data, name) is None


@pytest.fixture
def speech(desk: Desk) -> Any:
    """A speech model that a test scripts: status and text."""
    script: dict[str, Any] = {"status": 200, "text": "年假有几天？", "asked": []}
    app = Flask("speech")

    @app.post("/v1/audio/transcriptions")
    def transcriptions() -> tuple[Response, int]:
        file = request.files["file"]
        script["asked"].append((file.filename, file.read(), request.headers["Authorization"]))
        return jsonify(text=script["text"]), script["status"]

    with Server(app) as server:
        voice = Voice(f"{server.url}/v1", lambda: "key", "private-speech", timeout_s=5)
        object.__setattr__(desk.asking.composer.attachments, "voice", voice)
        yield script
        voice.close()


def voice_message(platform: Platform) -> tuple[Media, ...]:
    return (Media("voice", platform.media.add("voice", "", AMR), name="voice.amr"),)


def test_a_voice_message_is_asked_as_its_text(
    desk: Desk, dify: FakeDify, platform: Platform, speech: dict[str, Any]
) -> None:
    assert desk.say(kind="voice", media=voice_message(platform)) == ["答：年假有几天？"]
    assert speech["asked"] == [("voice.amr", AMR, "Bearer key")]
    assert dify.runs[0].files == []


def test_a_bots_voice_comes_as_text_and_is_not_listened_to(
    desk: Desk, speech: dict[str, Any]
) -> None:
    assert desk.say("年假", kind="voice") == ["答：年假"]
    assert speech["asked"] == []


def test_a_voice_in_which_nothing_is_heard_gets_a_sentence(
    desk: Desk, platform: Platform, speech: dict[str, Any]
) -> None:
    speech["text"] = " "
    assert desk.say(kind="voice", media=voice_message(platform))[0].startswith("抱歉，我没听清")


def test_a_speech_model_that_is_loading_is_asked_again(
    desk: Desk, platform: Platform, speech: dict[str, Any]
) -> None:
    speech["status"] = 503
    desk.claim(kind="voice", media=voice_message(platform))
    assert desk.answer(desk.lease()) is None


def test_what_a_person_quotes_stands_before_the_question(desk: Desk, dify: FakeDify) -> None:
    desk.say("这是什么意思？", quote="年假十二天")
    assert dify.runs[0].query == "我引用的内容：\n年假十二天\n\n这是什么意思？"


def test_a_link_is_asked_with_its_title_and_address(desk: Desk, dify: FakeDify) -> None:
    desk.say("标题\n说明\nhttps://example.com", kind="link")
    assert dify.runs[0].query == "标题\n说明\nhttps://example.com"


def test_a_quoted_picture_goes_with_the_question(
    desk: Desk, files: FakeDify, platform: Platform
) -> None:
    desk.say("这是什么？", quote="图", media=picture(platform))
    assert len(files.runs[0].files) == 1


def test_a_quoted_picture_that_is_of_no_use_does_not_keep_the_question_back(
    desk: Desk, dify: FakeDify, platform: Platform
) -> None:
    assert desk.say("这是什么？", media=picture(platform)) == ["答：这是什么？"]
    assert dify.runs[0].files == []


def test_who_says_nothing_but_the_assistants_name_is_greeted(desk: Desk, dify: FakeDify) -> None:
    assert desk.say("", chat="g")[0].startswith("您好，我是您的助手")
    assert dify.runs == []
