"""Who wrote an Office file and when, as the file itself says; what it does not say stays out. For docx, pptx, xlsx."""

import io
import zipfile
from datetime import datetime
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import fromstring

from tool_server.knowledge.document import Value
from tool_server.knowledge.parse.file import moment

PART = "docProps/core.xml"
CREATOR = "{http://purl.org/dc/elements/1.1/}creator"
TERM = "{http://purl.org/dc/terms/}"


def properties_of(content: bytes) -> dict[str, Value | None]:
    """author, created, modified. The libraries would fill what is missing with themselves and the present moment."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if PART not in archive.namelist():
            return {}
        try:
            root = fromstring(archive.read(PART))
        except ParseError:
            return {}
    return {
        "author": root.findtext(CREATOR),
        "created": _moment(root.findtext(f"{TERM}created")),
        "modified": _moment(root.findtext(f"{TERM}modified")),
    }


def _moment(text: str | None) -> str | None:
    try:
        return moment(datetime.fromisoformat((text or "").strip()))
    except ValueError:
        return None
