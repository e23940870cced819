"""Fonts with Chinese characters: where they usually lie, and drawing widths; used by `annotate` and `sheet`."""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageFont

# A regular font and, where it has one, its bold; the first that is there is taken.
USUAL: tuple[tuple[str, str], ...] = (
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
    ("/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
    ("/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
    ("/usr/share/fonts/google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
    ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", ""),
    ("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc", ""),
    ("/System/Library/Fonts/PingFang.ttc", ""),
    ("/System/Library/Fonts/STHeiti Light.ttc", "STHeiti Medium.ttc"),
    ("C:/Windows/Fonts/msyh.ttc", "msyhbd.ttc"),
)
# Faces of a collection that are looked at.
FACES = 16


class NoFont(Exception):
    """There is no font that can draw Chinese; a sentence that says what to do."""


@dataclass(frozen=True)
class Fonts:
    """A font file and its bold one (the same where it has none), with the numbers of their Chinese faces."""

    regular: Path
    bold: Path
    face: int
    mono: int

    @classmethod
    def of(cls, regular: Path, bold: Path) -> "Fonts":
        """Raises `OSError` for what is no font."""
        names = _names(regular)
        face = _face(names, "Mono", wanted=False)
        return cls(regular, bold, face or 0, _face(names, "Mono", wanted=True) or face or 0)

    def at(self, size: int, *, bold: bool = False, mono: bool = False) -> ImageFont.FreeTypeFont:
        face = self.mono if mono else self.face
        return _load(self.bold if bold else self.regular, face, size)

    @property
    def has_bold(self) -> bool:
        return self.bold != self.regular


def find(wanted: str) -> Fonts:
    """The font that the setting names, or a usual one. Raises `NoFont`."""
    if wanted:
        return _named(Path(wanted))
    for path, bold in USUAL:
        regular = Path(path)
        if regular.is_file():
            beside = regular.with_name(bold or regular.name)
            return Fonts.of(regular, beside if beside.is_file() else regular)
    raise NoFont(
        "No font with Chinese characters is installed on the tool server: install Noto Sans CJK (Debian, Ubuntu: "
        "apt-get install fonts-noto-cjk), or set SHENQIAO_FONT to the path of another font."
    )


def _named(path: Path) -> Fonts:
    try:
        return Fonts.of(path, path)
    except OSError:
        raise NoFont("SHENQIAO_FONT names no file that can be read as a font.") from None


def _names(path: Path) -> list[str]:
    """The names of the faces of a file; one that is no collection has one."""
    names = [_name(path, 0)]
    with suppress(OSError):  # behind the last face
        names.extend(_name(path, face) for face in range(1, FACES))
    return names


def _name(path: Path, face: int) -> str:
    return ImageFont.truetype(str(path), 16, index=face).getname()[0] or ""


def _face(names: list[str], word: str, *, wanted: bool) -> int | None:
    """The first face for mainland China whose name has the word, or has it not."""
    found = (
        at for at, name in enumerate(names) if name.endswith(" SC") and (word in name) == wanted
    )
    return next(found, None)


@cache
def _load(path: Path, face: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, index=face, layout_engine=ImageFont.Layout.BASIC)
