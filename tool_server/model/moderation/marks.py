"""Bounds marks piled on one character: normalising sorts them, in time that grows with the square of the count."""

import re
import unicodedata

# As in Unicode's Stream-Safe Text Format (UAX #15), about: no language needs more than a few.
MARKS = 32

# A long run of neither letters nor blanks; only in such a run can there be too many marks.
_RUN = re.compile(rf"[^\w\s\x00-\u02ff]{{{MARKS + 1},}}")


def bound_marks(text: str) -> str:
    """The text without the marks that follow `MARKS` others directly."""
    return _RUN.sub(lambda run: _bounded(run[0]), text)


def _bounded(run: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in run:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= MARKS:
            kept.append(char)
    return "".join(kept)
