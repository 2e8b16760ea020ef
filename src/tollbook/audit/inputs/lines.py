"""On which lines the spans of a text stand that is indented: each has one member of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tollbook.audit.inputs.pieces import Piece

_MARKS: Final = tuple(
    re.compile(rb'"%b"\s*:' % name).finditer
    for name in (b"spanId", b"startTimeUnixNano", b"span_id", b"start_time_unix_nano")
)
"""Links have an id of a span too, and a span may have no time: one of them is there just once."""


def places_of(read: Sequence[Piece], spans: int) -> list[tuple[int, int]] | None:
    """Return line and offset of each span, in their order; None where that is not sure.

    Args:
        read: the pieces that held them.
        spans: how many there are.
    """
    begins = [(one.line, one.offset) for one in read] if len(read) == spans else None
    if begins is not None and read[0].path[-1:] == ("spans",):
        return begins
    for mark in _MARKS:
        places = [place for one in read for place in _places(one, mark)]
        if len(places) == spans:
            return places
    return begins


def _places(
    piece: Piece, mark: Callable[[bytes], Iterator[re.Match[bytes]]]
) -> Iterator[tuple[int, int]]:
    line, at = piece.line, 0
    for found in mark(piece.data):
        line += piece.data.count(b"\n", at, found.start())
        at = found.start()
        yield line, piece.offset + at
