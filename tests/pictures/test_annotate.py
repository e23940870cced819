"""Marks on pictures: where they should be, however the camera was held; pictures that are meant to harm are refused."""

import io
import json
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from tool_server.errors import BadRequest
from tool_server.pictures.annotate import Picture, annotate
from tool_server.pictures.font import Fonts
from tool_server.pictures.marks import Units, read_marks

GREY = (120, 120, 120)
RED = (209, 36, 47)
BOX = {"kind": "box", "box": [20, 40, 100, 80]}


def picture(size: tuple[int, int] = (200, 100), kind: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, GREY).save(out, kind, **more)
    return out.getvalue()


def marked(
    fonts: Fonts, data: bytes, *marks: dict[str, Any], units: Units = "pixels", side: int = 2048
) -> Image.Image:
    done = drawn(fonts, data, *marks, units=units, side=side)
    return Image.open(io.BytesIO(done.data)).convert("RGB")


def drawn(
    fonts: Fonts,
    data: bytes,
    *marks: dict[str, Any],
    units: Units = "pixels",
    pixels: int = 40_000_000,
    side: int = 2048,
) -> Picture:
    wanted = read_marks(json.dumps(marks))
    return annotate(data, wanted, units, fonts, pixels=pixels, side=side)


def is_red(found: Image.Image, x: int, y: int) -> bool:
    colour = found.getpixel((x, y))
    assert isinstance(colour, tuple)
    return all(abs(one - other) < 60 for one, other in zip(colour, RED, strict=True))


@pytest.mark.parametrize(
    ("units", "box"),
    [
        ("pixels", [20, 40, 100, 80]),
        ("percent", [10, 40, 50, 80]),
        ("thousandths", [100, 400, 500, 800]),
    ],
)
def test_a_box_stands_where_each_unit_says(fonts: Fonts, units: Units, box: list[int]) -> None:
    found = marked(fonts, picture(), {"kind": "box", "box": box}, units=units)
    assert is_red(found, 60, 40)
    assert is_red(found, 20, 60)
    assert not is_red(found, 60, 60)


def test_places_are_those_of_the_picture_as_people_see_it(fonts: Fonts) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright: stored on its side
    data = picture(kind="JPEG", exif=exif.tobytes())
    found = marked(fonts, data, {"kind": "box", "box": [10, 150, 90, 190]})
    assert found.size == (100, 200)
    assert is_red(found, 50, 150)


def test_a_large_picture_becomes_smaller_and_its_marks_with_it(fonts: Fonts) -> None:
    found = marked(
        fonts, picture((2000, 1000)), {"kind": "box", "box": [200, 400, 1000, 800]}, side=500
    )
    assert found.size == (500, 250)
    assert is_red(found, 150, 100)


def test_text_is_drawn_inside_of_the_picture(fonts: Fonts) -> None:
    label = {"kind": "caption", "at": [195, 95], "text": "温度过高"}
    plain, with_text = picture(), marked(fonts, picture(), label)
    assert with_text.size == (200, 100)
    assert is_red(with_text, 198, 98)
    assert with_text.tobytes() != Image.open(io.BytesIO(plain)).tobytes()


def test_a_caption_without_a_place_stands_below(fonts: Fonts) -> None:
    found = marked(fonts, picture(), {"kind": "caption", "text": "一号车间"})
    assert found.width == 200
    assert found.height > 110
    assert is_red(found, 199, found.height - 2)


def test_what_one_can_see_through_stays_so(fonts: Fonts) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (60, 60), (0, 0, 0, 0)).save(out, "PNG")
    done = drawn(fonts, out.getvalue(), {"kind": "arrow", "from": [5, 5], "to": [50, 50]})
    assert done.mime == "image/png"
    clear = Image.open(io.BytesIO(done.data)).getpixel((55, 5))
    assert isinstance(clear, tuple)
    assert clear[3] == 0


def bomb() -> bytes:
    """A PNG of few bytes that claims to be 30,000 pixels wide and high."""
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "picture: it is damaged, or none of JPEG"),
        (b"nonsense", "picture: it is damaged, or none of JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "picture: it is damaged"),
        (picture()[:60], "picture: it is damaged"),
        (bomb(), "picture: it"),
        (picture((9, 9)), "picture: its sides must have 16 pixels"),
    ],
    ids=["empty", "nonsense", "postscript", "half", "bomb", "tiny"],
)
def test_a_picture_that_cannot_be_opened_is_refused(
    fonts: Fonts, data: bytes, sentence: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        drawn(fonts, data, {"kind": "caption", "text": "x"})
    assert caught.value.message.startswith(sentence)


def test_the_bound_of_pixels_is_the_setting_s(fonts: Fonts) -> None:
    with pytest.raises(BadRequest, match="it has 20,000 pixels, 19,999 are possible"):
        drawn(fonts, picture(), BOX, pixels=19_999)


def test_captions_have_a_bound(fonts: Fonts) -> None:
    captions = [{"kind": "caption", "text": "字" * 200}] * 50
    with pytest.raises(BadRequest, match="the captions below need more room"):
        drawn(fonts, picture((16, 2000)), *captions)
