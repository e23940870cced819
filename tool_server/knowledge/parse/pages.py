"""What repeats at the top and bottom of pages, page numbers included, is no part of the text; used for PDF."""

import re
from collections import Counter
from collections.abc import Sequence

# Lines at either end of a page that may be a header or footer; of a short page, a quarter.
REACH = 3
PAGES = 3
SHARE = 0.6
NUMBER = re.compile(r"\d+|(?<=第)[一二三四五六七八九十百]+(?=页)")


def without_margins(pages: Sequence[list[str]]) -> list[list[str]]:
    """The pages' lines without those that most pages have at one end, their numbers apart."""
    whole = [[line for line in lines if line.strip()] for lines in pages]
    if len(whole) < PAGES:
        return whole
    counts = Counter(sign for lines in whole for sign in {_sign(lines[at]) for at in _ends(lines)})
    common = {sign for sign, count in counts.items() if count >= max(PAGES, SHARE * len(whole))}
    common |= _running(whole, 0) | _running(whole, -1)
    return [_inner(lines, common) for lines in whole]


def _running(pages: Sequence[list[str]], at: int) -> set[str]:
    """Headers that change with the chapter: first or last lines that are the same on pages that follow each other."""
    signs = [_sign(lines[at]) if _reach(lines) else "" for lines in pages]
    runs = zip(*(signs[number:] for number in range(PAGES)), strict=False)
    return {run[0] for run in runs if run[0] and len(set(run)) == 1}


def _ends(lines: Sequence[str]) -> list[int]:
    """The places of a page's first and last lines."""
    count, reach = len(lines), _reach(lines)
    return sorted({*range(reach), *range(count - reach, count)})


def _reach(lines: Sequence[str]) -> int:
    return min(REACH, (len(lines) + 2) // 4)


def _sign(line: str) -> str:
    """What is the same about a header on every page."""
    return " ".join(NUMBER.sub("#", line).split())


def _inner(lines: Sequence[str], common: set[str]) -> list[str]:
    """From either end only as far as the lines are common ones, so that the text keeps its own repetitions."""
    begin, end, reach = 0, len(lines), _reach(lines)
    while begin < reach and _sign(lines[begin]) in common:
        begin += 1
    while end > max(begin, len(lines) - reach) and _sign(lines[end - 1]) in common:
        end -= 1
    return list(lines[begin:end])
