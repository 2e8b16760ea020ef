"""How wide the columns of a table are: numbers and ids stay whole, text wraps, the rest is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, chop_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP: Final = 2
_TEXT_MIN: Final = 9
_PARTS: Final = re.compile(r"[^-_/.:,@ ]*[-_/.:,@ ]?")


class Column(NamedTuple):
    """One column: its heading and its cells, as they would be printed."""

    name: str
    heading: str
    cells: tuple[str, ...]
    is_wrapped: bool
    """Whether its cells may take several lines; a number or an id may not."""


class Layout(NamedTuple):
    """The columns that are shown with their widths in cells, and the names of those that are not.

    Long headings and texts have line breaks where they are to wrap.
    """

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...]


def fit(columns: Sequence[Column], available: int, optional: Sequence[str] = ()) -> Layout:
    """Lay out a table within a width: wrap headings, then texts, then leave optional columns out.

    Args:
        columns: all columns, in order.
        available: width in terminal cells.
        optional: columns that may be left out, the first of them first. A table that does not fit
            without them either is wider than asked for: nothing is ever cut off.
    """
    kept, left_out = list(columns), []
    widths = _widths(kept)
    if _total(widths) <= available:
        return Layout(tuple(kept), tuple(widths), ())
    kept = [one._replace(heading=one.heading.replace(" ", "\n")) for one in kept]
    candidates = [name for name in optional if any(one.name == name for one in kept)]
    while True:
        widths = _shrunk(kept, available)
        if _total(widths) <= available or not candidates:
            break
        left_out.append(candidates.pop(0))
        kept = [one for one in kept if one.name != left_out[-1]]
    shown = [
        _wrapped(one, width) if one.is_wrapped else one
        for one, width in zip(kept, widths, strict=True)
    ]
    return Layout(tuple(shown), tuple(widths), tuple(left_out))


def _wrapped(column: Column, width: int) -> Column:
    return column._replace(cells=tuple(wrap(text, width) for text in column.cells))


def wrap(text: str, width: int) -> str:
    """Break a text into lines of a width, after a hyphen, dot or the like where there is one."""
    lines = [""]
    for part in _PARTS.findall(text):
        for piece in chop_cells(part, width) if cell_len(part) > width else [part]:
            if cell_len(lines[-1]) + cell_len(piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _widths(columns: Sequence[Column]) -> list[int]:
    return [
        max(cell_len(line) for text in (one.heading, *one.cells) for line in text.split("\n"))
        for one in columns
    ]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _shrunk(columns: Sequence[Column], available: int) -> list[int]:
    """Return widths that fit if they can: the widest text gives way first, down to a least."""
    widths = _widths(columns)
    least = [
        max(_TEXT_MIN, *(cell_len(word) for word in one.heading.split("\n")))
        if one.is_wrapped
        else width
        for one, width in zip(columns, widths, strict=True)
    ]
    while _total(widths) > available:
        slack = [width - low for width, low in zip(widths, least, strict=True)]
        if max(slack, default=0) <= 0:
            break
        at = max((index for index, room in enumerate(slack) if room > 0), key=lambda i: widths[i])
        widths[at] -= 1
    return widths
