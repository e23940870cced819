"""E-mail: its text, what is known about it, its attachments."""

from email.message import EmailMessage

from tests.knowledge.parse.conftest import Read
from tests.knowledge.parse.files import mail, pdf, plain_workbook


def test_a_mail_is_a_document_and_so_is_each_attachment(read: Read) -> None:
    content = mail(
        "请看附件。", ("表.xlsx", plain_workbook()), ("扫描.pdf", pdf([[]])), ("x.zip", b"PK")
    )
    documents = read("a.eml", content)
    assert [document.source_id for document in documents] == ["a.eml", "a.eml/表.xlsx"]
    first = documents[0]
    assert (first.title, first.sections[0].text) == ("报价", "请看附件。")
    assert first.metadata == {
        "kind": "eml",
        "subject": "报价",
        "from": "李雷 <li@example.com>",
        "to": "han@example.com",
        "date": "2025-06-02T09:30:00+08:00",
        "attachments_refused": "x.zip: files of this kind are not read; "
        "扫描.pdf: no text layer: 1 pages; recognise the text (OCR) first",
    }


def test_the_plain_text_is_taken_and_not_the_page_that_says_the_same(read: Read) -> None:
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("文字")
    message.add_alternative("<p>网页</p>", subtype="html")
    assert read("a.eml", message.as_bytes())[0].sections[0].text == "文字"


def test_a_mail_of_html_alone_is_read_as_text(read: Read) -> None:
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("<style>p{}</style><p>网页</p>", subtype="html", charset="gb2312")
    assert read("a.eml", message.as_bytes())[0].sections[0].text == "网页"


def test_attachments_of_one_name_and_names_with_folders_stay_apart(read: Read) -> None:
    content = mail(
        "x", ("a.txt", "甲".encode()), ("a.txt", "乙".encode()), ("../../b.txt", "丙".encode())
    )
    names = [document.source_id for document in read("m.eml", content)]
    assert names == ["m.eml", "m.eml/a.txt", "m.eml/1-a.txt", "m.eml/_.._b.txt"]


def test_a_mail_within_a_mail_is_read_once(read: Read) -> None:
    inner = EmailMessage()
    inner["Subject"] = "内"
    inner.set_content("内文")
    inner.add_attachment("附件".encode(), "application", "octet-stream", filename="c.txt")
    outer = EmailMessage()
    outer["Subject"] = "外"
    outer.set_content("外文")
    outer.add_attachment(inner)
    documents = read("m.eml", outer.as_bytes())
    assert [(document.source_id, document.title) for document in documents] == [
        ("m.eml", "外"),
        ("m.eml/mail.eml", "内"),
        ("m.eml/mail.eml/c.txt", "c"),
    ]
