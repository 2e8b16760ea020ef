"""SQL of queries that differ only in their moments and values is compiled once.

Making a statement of an expression takes a tenth of a second, longer than most answers, and a
console asks the same few questions all day: of another month, of another tenant. So the statement
is made for the *shape* of a query, with marks where its moments and values stand, and the marks are
filled in. A mark has random digits that were drawn when the process started, so that no text of a
caller can be taken for one.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.reports.cover import ROWS, Cover, Scan, cover_sql
from tollbook.reports.query import VALUES_MAX, Filter, SpendQuery
from tollbook.reports.table import timestamp_sql, to_sql
from tollbook.reports.zone import Piece, pieces, zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Build = Callable[[SpendQuery, Scan], Any]

_DRAWN: Final = secrets.randbelow(10**6 - 10)
_NONCE: Final = secrets.token_hex(12)
_MOMENTS: Final = tuple(
    datetime(
        2190 + at, 1 + secrets.randbelow(12), 1 + secrets.randbelow(28), 3, 17, 41, _DRAWN, UTC
    )
    for at in range(3)
)
"""Marks for since, until and booked_before; nobody asks for these microseconds of these days."""
_VALUE: Final = re.compile(rf"'{_NONCE}-(\d{{6}})'")


def compiled(build: Build, query: SpendQuery, cover: Cover | None = None) -> str:
    """Return the statement that answers a query.

    Args:
        build: makes the expression of a query, given where its rows come from; a function of a
            module, since what it made is kept by its name.
        query: what is asked.
        cover: the rollup that answers most of it; None: entries alone.
    """
    stretches = pieces(zone_of(query.tz), query.since, query.until)
    if (
        query.entry_window is not None and cover is None
    ):  # its moments and entries are marks of their own; rare
        return _made(build, query, Scan(stretches))
    # Where the first stretch begins is the query's business, and does not matter to its buckets.
    known = (Piece(_MOMENTS[0], stretches[0].offset_s), *stretches[1:])
    template = _template(build, _shape(query), Scan(known, cover is not None))
    return _filled(template, query, cover)


@lru_cache(maxsize=256)
def _made(build: Build, query: SpendQuery, scan: Scan) -> str:
    return to_sql(build(query, scan))


@lru_cache(maxsize=1024)
def _template(build: Build, shape: SpendQuery, scan: Scan) -> str:
    return to_sql(build(shape, scan))


def forget_compiled() -> None:
    """Forget what was compiled, to measure what it takes."""
    _made.cache_clear()
    _template.cache_clear()


def _shape(query: SpendQuery) -> SpendQuery:
    since, until, booked = _MOMENTS
    return replace(
        query, since=since, until=until, where=shape_of_filters(query.where),
        billing_period=None, entry_window=None,  # only covers have any here, and see to them
        booked_before=None if query.booked_before is None else booked,
    )  # fmt: skip


def shape_of_filters(where: Sequence[Filter]) -> tuple[Filter, ...]:
    """Return filters with marks for their values, numbered through; "not set" stays."""
    found, number = [], 0
    for one in where:
        marks: list[str | None] = []
        for value in _padded(one.values):
            marks.append(None if value is None else f"{_NONCE}-{number:06}")
            number += value is not None
        found.append(Filter(one.dimension, tuple(marks), one.negate))
    return tuple(found)


def _filled(template: str, query: SpendQuery, cover: Cover | None) -> str:
    values = [value for one in query.where for value in _padded(one.values) if value is not None]
    text = _VALUE.sub(lambda mark: quoted(values[int(mark[1])]), template)
    for mark, at in zip(_MOMENTS, (query.since, query.until, query.booked_before), strict=True):
        if at is not None:
            text = text.replace(_moment_sql(mark), timestamp_sql(at))
    return text if cover is None else text.replace(f'"{ROWS}"', f"({cover_sql(query, cover)})")


def _padded(values: Sequence[str | None]) -> Sequence[str | None]:
    """Return values with the last repeated up to a power of two: most numbers have one shape."""
    wanted = min(1 << (len(values) - 1).bit_length(), VALUES_MAX)
    return (*values, *[values[-1]] * (wanted - len(values)))


def quoted(text: str) -> str:
    """Return text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


@lru_cache(maxsize=8)
def _moment_sql(at: datetime) -> str:
    """Return what the compiler makes of a moment."""
    import ibis  # noqa: PLC0415 -- loaded when the first report is asked for

    from tollbook.reports.table import moment  # noqa: PLC0415 -- as above

    statement = str(ibis.duckdb.compile(moment(at)))
    found = re.fullmatch(r"SELECT (.*) AS .*", statement, re.DOTALL)
    assert found is not None, statement
    return found[1]
