"""Bytes to text, in whatever encoding they were written, Chinese ones included; used by the formats that are text."""

import codecs
import re

from charset_normalizer import from_bytes

from tool_server.knowledge.parse.unreadable import Unreadable

# More of these than one in a hundred: the file is not text.
BINARY = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufffd]")
BINARY_SHARE = 0.01
# So many characters of more than one byte are UTF-8, if hardly any of them is broken.
BROKEN = "\ufffd"
BROKEN_SHARE = 0.01
BROKEN_FROM = 4
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with UTF-16's mark
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encodings that a page or a mail may name; Python knows others that are no encodings of text, or slow by design.
NAMED = re.compile(
    r"utf-?8|utf-?16(le|be)?|us-ascii|gb2312|gbk|gb18030|big5|big5-?hkscs|euc-(jp|kr|tw)|shift[_-]jis|iso-2022-(jp|kr)"
    r"|hz-gb-2312|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]"
)
# Below this many bytes charset-normalizer takes one Chinese text in five for another language's.
SHORT = 400
# First byte of the last of GB 2312's 3,755 common characters, which make up nearly all of any text; Big5's likewise.
GB_COMMON = range(0xA1, 0xD8)
BIG5_COMMON = range(0xA1, 0xC7)
COMMON_SHARE = 0.9
# Hangul ends here in EUC-KR. A third of Chinese text lies beyond, so that many characters below it are no accident.
HANGUL_LAST = 0xC8
HANGUL_CHARACTERS = 12
KANA = re.compile(r"[\u3041-\u30fe]")
HANGUL = re.compile(r"[\uac00-\ud7a3]")


def decode(content: bytes, named: str = "") -> str:
    """A file's text, with lines that end in "\\n"; `named` is the encoding that it claims. Raises `Unreadable`."""
    text = _decoded(content, named)
    if len(BINARY.findall(text)) > len(text) * BINARY_SHARE:
        raise Unreadable("it is not text")
    if not text.strip():
        raise Unreadable("it is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes, named: str) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    return _utf8(content) or _claimed(content, named) or _short(content) or _guess(content)


def _utf8(content: bytes) -> str | None:
    """UTF-8, also where a few characters are broken: the last one of a file that is cut off, a name from elsewhere."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("utf-8-sig", "replace")
    beyond = len(text) - sum(map(str.isascii, text))
    broken = text.count(BROKEN) - text.endswith(BROKEN)
    return text if beyond >= BROKEN_FROM and broken <= BROKEN_SHARE * beyond else None


def _claimed(content: bytes, named: str) -> str | None:
    """In the encoding that the file names, where it is one and fits. Whoever writes GB 2312 means its superset."""
    name = named.strip().lower()
    if not NAMED.fullmatch(name) or name.startswith("utf"):
        return None
    try:
        return content.decode("gb18030" if name in ("gb2312", "gbk") else name)
    except (UnicodeDecodeError, LookupError):
        return None


def _short(content: bytes) -> str | None:
    """A short text in an East Asian encoding, as Windows writes it; None where its characters are unusual."""
    if len(content) > SHORT:
        return None
    chinese = _common(content, "gb18030", "gb2312", GB_COMMON)
    if chinese is None:
        return _common(content, "big5", "big5", BIG5_COMMON)
    return _japanese(content, chinese) or _korean(content, chinese) or chinese


def _common(content: bytes, encoding: str, core: str, common: range) -> str | None:
    """The text, where nearly all that is not ASCII is among the encoding's common characters."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    beyond = [character.encode(core, "ignore") for character in text if not character.isascii()]
    usual = sum(encoded != b"" and encoded[0] in common for encoded in beyond)
    return text if usual >= COMMON_SHARE * len(beyond) else None


def _japanese(content: bytes, chinese: str) -> str | None:
    """EUC-JP: its kana are GB 2312's kana, and Chinese has none."""
    return _in(content, "euc_jp") if KANA.search(chinese) else None


def _korean(content: bytes, chinese: str) -> str | None:
    """EUC-KR: its syllables all lie in the first part of GB 2312's common characters."""
    leads = [
        encoded[0]
        for character in chinese
        if len(encoded := character.encode("gb2312", "ignore")) == 2
    ]
    if len(leads) < HANGUL_CHARACTERS or max(leads) > HANGUL_LAST:
        return None
    text = _in(content, "euc_kr")
    return text if text and len(HANGUL.findall(text)) > len(leads) // 2 else None


def _in(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _guess(content: bytes) -> str:
    best = from_bytes(content).best()
    if best is None:
        raise Unreadable("it is not text")
    return str(best)
