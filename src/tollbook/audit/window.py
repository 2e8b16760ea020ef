"""Spans of a stretch of time only (``--since``, ``--until``)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tollbook import clock
from tollbook.audit.options import UsageError
from tollbook.audit.read import Trouble
from tollbook.reports.times import parse_period

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tollbook.audit.read import Batch, Input, InputRead


def bounds_ns(since: str | None, until: str | None, tz: str) -> tuple[int | None, int | None]:
    """Return the first moment and the first that is no longer in it; None is without bound.

    Raises:
        UsageError: an unknown zone, or nothing lies between the two.
        QueryError: a time that is not understood.
    """
    try:
        zone = ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"argument --tz: {tz[:64]!r} is no known time zone") from error
    now = clock.utc_now()
    start = None if since is None else _ns(parse_period(since, zone, now, "--since").start)
    end = None if until is None else _ns(parse_period(until, zone, now, "--until").start)
    if start is not None and end is not None and start >= end:
        raise UsageError("nothing lies between --since and --until")
    return start, end


class Windowed:
    """An input without the spans that began outside; spans without a time are kept."""

    def __init__(self, one: Input, start_ns: int | None, end_ns: int | None) -> None:
        self._one, self._start_ns = one, start_ns or 0
        self._end_ns = end_ns
        self.read: InputRead = one.read

    def __iter__(self) -> Iterator[Batch | Trouble]:
        start_ns, end_ns = self._start_ns, self._end_ns
        for part in self._one:
            if isinstance(part, Trouble):
                yield part
                continue
            kept = [
                span
                for span in part.spans
                if not span.started_at_ns
                or (
                    start_ns <= span.started_at_ns
                    and (end_ns is None or span.started_at_ns < end_ns)
                )
            ]
            if kept:
                yield part._replace(spans=kept)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * clock.NS_PER_S + moment.microsecond * 1000
