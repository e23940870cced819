"""Which kind a file is: by its first bytes where they tell, by its name else; used by `read` and `Parser`."""

from collections.abc import Mapping

from tool_server.knowledge.parse.archive import office_kind
from tool_server.knowledge.parse.limits import Limits
from tool_server.knowledge.parse.unreadable import Unreadable

KINDS: Mapping[str, str] = {
    ".md": "md",
    ".markdown": "md",
    ".txt": "txt",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".eml": "eml",
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".xlsx": "xlsx",
    # Known so that the refusal can say what helps, and because such a file is often one of the new kind.
    ".doc": "old",
    ".ppt": "old",
    ".xls": "old",
    ".docm": "old",
    ".pptm": "old",
    ".xlsm": "old",
    ".rtf": "old",
}
BINARY = ("pdf", "docx", "pptx", "xlsx")
CURE = "save it as .docx, .pptx, .xlsx or .pdf"

ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
RTF = b"{\\rtf"
# PDF readers look for the mark this far into a file.
PDF_REACH = 1024
# The stream that an Office file with a password consists of; OLE writes names in UTF-16.
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def kind_of(suffix: str, content: bytes, limits: Limits) -> str:
    """One of the kinds that are read. Raises `Unreadable`, with the cure where there is one."""
    kind = KINDS[suffix]
    if not content.strip(b"\0 \t\r\n"):
        raise Unreadable("it is empty")
    if b"%PDF-" in content[:PDF_REACH] and (
        kind in (*BINARY, "old") or content.startswith(b"%PDF-")
    ):
        return "pdf"
    if content.startswith(ZIP):
        return office_kind(content, limits)
    if content.startswith(OLE):
        if ENCRYPTED in content:
            raise Unreadable("it is encrypted: save it without a password")
        raise Unreadable(f"it is of an old Office format: {CURE}")
    if content.startswith(RTF):
        raise Unreadable(f"it is an RTF file: {CURE}")
    if kind in BINARY:
        raise Unreadable(f"it is no {kind.upper()} file, although its name says so")
    if kind == "old":
        raise Unreadable(f"files of the kind {suffix!r} are not read: {CURE}")
    return kind
