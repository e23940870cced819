"""E-mail: the text with subject, sender and date, and each attachment of a kind that is read as a further document."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import PurePosixPath

from tool_server.knowledge.document import Document
from tool_server.knowledge.parse.decode import decode
from tool_server.knowledge.parse.file import File, moment, one_line
from tool_server.knowledge.parse.kinds import KINDS
from tool_server.knowledge.parse.outline import Outline
from tool_server.knowledge.parse.read import read_content
from tool_server.knowledge.parse.unreadable import Unreadable

# A mail has a text, the same as HTML, and attachments; the rest is a stranger's idea.
PARTS = 1000
NAME_CHARACTERS = 200


def read(file: File) -> Iterator[Document]:
    """The mail, then its attachments. Raises `Unreadable`."""
    if file.depth > file.limits.mail_depth:
        raise Unreadable("mails are attached to mails too deep")
    message = message_from_bytes(file.content, policy=default)
    if not message.keys():
        raise Unreadable("it is no e-mail, although its name says so")
    attachments, passed_over = _attachments(file, message)
    refused: list[str] = [f"{name}: files of this kind are not read" for name in passed_over]
    documents: list[Document] = []
    for attachment in attachments:
        try:
            documents += list(read_content(attachment))
        except Unreadable as error:
            refused.append(f"{attachment.name}: {error}")
    mail = _mail(file, message, refused)
    documents = [*([mail] if mail else []), *documents]
    if not documents:
        raise Unreadable("; ".join(["it holds no text", *refused]))
    most = file.limits.characters
    if sum(len(section.text) for document in documents for section in document.sections) > most:
        raise Unreadable(f"it holds more than {most} characters of text")
    yield from documents


def _mail(file: File, message: EmailMessage, refused: list[str]) -> Document | None:
    """The mail without its attachments; None where it is only their envelope."""
    subject = _header(message, "subject")
    outline = Outline()
    for line in _body(file, message).split("\n"):
        outline.line(line)
    sections = outline.sections()
    if not sections:
        return None
    metadata = {
        "subject": subject,
        "from": _header(message, "from"),
        "to": _header(message, "to"),
        "date": moment(_date(message)),
        "attachments_refused": "; ".join(refused) or None,
    }
    return file.document(sections, kind="eml", title=subject, metadata=metadata)


def _body(file: File, message: EmailMessage) -> str:
    """The plain text, else the HTML as text."""
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes) or not content.strip():
        return ""
    charset = str(part.get_content_charset("") or "")
    if part.get_content_subtype() != "html":
        return decode(content, charset)
    text = decode(content, charset)
    page = next(
        read_content(replace(file, name="mail.html", content=text.encode("utf-8", "replace")))
    )
    return "\n\n".join("\n".join(filter(None, (s.heading, s.text))) for s in page.sections)


def _attachments(file: File, message: EmailMessage) -> tuple[list[File], list[str]]:
    """The attachments of known kinds, each with a name of its own, and the names of the others."""
    files: dict[str, File] = {}
    passed_over: list[str] = []
    for number, part in enumerate(_parts(message)):
        if number > PARTS:
            raise Unreadable(f"it has more than {PARTS} parts")
        content, name = _content(part)
        if content is None:
            continue
        if PurePosixPath(name).suffix.lower() not in KINDS:
            passed_over.append(name)
            continue
        if len(files) == file.limits.mail_attachments:
            raise Unreadable(f"it has more than {file.limits.mail_attachments} attachments")
        while name in files:
            name = f"{len(files)}-{name}"
        files[name] = replace(
            file,
            name=name,
            source_id=f"{file.source_id}/{name}",
            content=content,
            depth=file.depth + 1,
        )
    return list(files.values()), passed_over


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """The parts of a mail, without those of the mails attached to it."""
    stack = [message]
    while stack:
        part = stack.pop()
        yield part
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            stack += [inner for inner in reversed(payload) if isinstance(inner, EmailMessage)]


def _content(part: EmailMessage) -> tuple[bytes | None, str]:
    """An attachment's bytes and name; None for the parts that are no attachments."""
    if part.get_content_type() == "message/rfc822":
        payload = part.get_payload()
        inner = payload[0] if isinstance(payload, list) and payload else None
        return (inner.as_bytes() if isinstance(inner, EmailMessage) else None), "mail.eml"
    filename = part.get_filename()
    if part.is_multipart() or not filename:
        return None, ""
    name = one_line(filename).replace("/", "_").replace("\\", "_").lstrip(".")
    content = part.get_payload(decode=True)
    suffix = PurePosixPath(name).suffix
    name = PurePosixPath(name).stem[: NAME_CHARACTERS - len(suffix)] + suffix
    return (content if isinstance(content, bytes) else None), name or "attachment"


def _header(message: EmailMessage, name: str) -> str:
    """A header's text; broken ones raise all kinds of things in the library, and say nothing then."""
    try:
        return one_line(str(message[name] or ""))
    except (ValueError, TypeError, IndexError, AttributeError, KeyError):
        return ""


def _date(message: EmailMessage) -> datetime | None:
    try:
        value = getattr(message["date"], "datetime", None)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return value if isinstance(value, datetime) else None
