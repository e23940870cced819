"""Marks over a picture as a tool is told them: boxes, arrows, captions; parsed once, drawn by `annotate`."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, ValidationError

from tool_server.errors import BadRequest

MARKS = 50
TEXT_CHARACTERS = 200
COLOURS = {
    "red": "#d1242f",
    "orange": "#c2600b",
    "yellow": "#b58900",
    "green": "#1a7f37",
    "blue": "#0969da",
    "purple": "#8250df",
    "black": "#1f2328",
    "white": "#ffffff",
}
# What 1 is in each unit of coordinates, as a part of a side; pixels are those of the picture as it came.
UNITS = {"percent": 0.01, "thousandths": 0.001}

type Units = Literal["pixels", "percent", "thousandths"]
# Far beyond any picture; more would only overflow.
type Coordinate = Annotated[float, Field(ge=-100_000, le=100_000)]
type Point = tuple[Coordinate, Coordinate]


def _colour(value: str) -> str:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return value
    if value not in COLOURS:
        raise ValueError(f"choose {', '.join(COLOURS)}, or write it like #1a7f37")
    return COLOURS[value]


type Colour = Annotated[str, AfterValidator(_colour)]
type Words = Annotated[str, Field(max_length=TEXT_CHARACTERS)]


class _Mark(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    color: Colour = COLOURS["red"]


class Box(_Mark):
    """A frame: left, top, right, bottom; its text stands at its top."""

    kind: Literal["box"]
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    text: Words = ""

    @property
    def points(self) -> Sequence[Point]:
        return (self.box[:2], self.box[2:])


class Arrow(_Mark):
    """A line with a head at `to`; its text stands at its beginning."""

    kind: Literal["arrow"]
    start: Point = Field(alias="from")
    to: Point
    text: Words = ""

    @property
    def points(self) -> Sequence[Point]:
        return (self.start, self.to)


class Caption(_Mark):
    """A text on a coloured ground; without `at` it stands below the picture."""

    kind: Literal["caption"]
    at: Point | None = None
    text: Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS)]

    @property
    def points(self) -> Sequence[Point]:
        return () if self.at is None else (self.at,)


type Mark = Box | Arrow | Caption


class _Marks(RootModel[list[Annotated[Mark, Field(discriminator="kind")]]]):
    root: list[Annotated[Mark, Field(discriminator="kind")]] = Field(min_length=1, max_length=MARKS)


def read_marks(text: str) -> list[Mark]:
    """The marks of a JSON list. Raises `BadRequest`, which names the mark by its number and the field in it."""
    try:
        return _Marks.model_validate_json(text).root
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadRequest(f"{_place(first['loc'])}: {first['msg']}.", param="marks") from None


def check_inside(marks: Sequence[Mark], width: float, height: float) -> None:
    """Refuse a mark that nobody would see: all of it lies outside of the picture. Raises `BadRequest`."""
    for number, mark in enumerate(marks, start=1):
        points = mark.points
        if points and not _meets(points, width, height):
            raise BadRequest(
                f"marks, number {number} ({mark.kind}): it lies outside of the picture, which is "
                f"{width:g} wide and {height:g} high in these units.",
                param="marks",
            )


def _meets(points: Sequence[Point], width: float, height: float) -> bool:
    across, down = ([point[axis] for point in points] for axis in (0, 1))
    return max(across) >= 0 and min(across) <= width and max(down) >= 0 and min(down) <= height


def _place(location: Sequence[int | str]) -> str:
    """Like "marks, number 2, box.3": the list is not seen by who wrote it as one that begins with 0."""
    if not location:
        return "marks"
    number, *rest = location
    if not isinstance(number, int):
        return f"marks.{'.'.join(map(str, location))}"
    kinds = ("box", "arrow", "caption")
    field = ".".join(str(part) for part in (rest[1:] if rest and rest[0] in kinds else rest))
    return f"marks, number {number + 1}" + (f", {field}" if field else "")
