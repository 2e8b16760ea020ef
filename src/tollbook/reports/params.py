"""The query object as named texts: what an URL's query and command-line options both are.

``since=2026-11-01&tz=Europe/Berlin&by=tenant,model&where=status!=error`` and ``--since 2026-11-01
--tz Europe/Berlin --by tenant,model --where 'status!=error'`` are the same pairs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tollbook.reports import measures
from tollbook.reports.errors import QueryError, UnknownNameError
from tollbook.reports.query import LATEST, ROWS_MAX, Filter, SpendQuery
from tollbook.reports.times import Period, parse_period
from tollbook.reports.zone import EPOCH, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

Pairs = list[tuple[str, str]]

NAMES: Final = (
    "since", "until", "period", "tz", "by", "where", "measures", "order", "limit", "booked_before",
    "billing_period",
)  # fmt: skip
_FILTER = re.compile(r"(?P<dimension>tag:[^=]*?|[a-z_]+)(?P<negate>!?)=(?P<values>.*)", re.DOTALL)
_PIECE = re.compile(r"\\.|.", re.DOTALL)


def parse_filter(text: str) -> Filter:
    r"""Read ``tenant=acme,globex``, ``status!=error`` or ``feature=`` (not set).

    A comma or backslash within a value is written ``\,`` or ``\\``.

    Raises:
        QueryError: it is none of these.
    """
    match = _FILTER.fullmatch(text)
    if match is None:
        raise QueryError(
            "--where", f"{text[:64]!r} is not a filter; expected tenant=acme or tenant!=acme"
        )
    values = [""]
    for piece in _PIECE.findall(match["values"]):
        if piece == "\\":
            raise QueryError("--where", f"{text[:64]!r} ends in a single backslash")
        if piece == ",":
            values.append("")
        else:
            values[-1] += piece[-1]
    chosen = tuple(value or None for value in values)
    return Filter(match["dimension"], chosen, bool(match["negate"]))


def format_filter(item: Filter) -> str:
    """Write a filter as :func:`parse_filter` reads it."""
    values = (re.sub(r"([\\,])", r"\\\1", value or "") for value in item.values)
    return f"{item.dimension}{'!' if item.negate else ''}={','.join(values)}"


def parse_range(given: dict[str, str], now: datetime) -> Period:
    """Read ``period``, or ``since`` (this month's start) and ``until`` (now), in zone ``tz``.

    With ``billing_period``, which may hold calls of any time, the two are without bounds.

    Raises:
        QueryError: a time that is not understood, or ``period`` together with the others.
    """
    zone = zone_of(given.get("tz", "UTC"))
    if "period" in given:
        if "since" in given or "until" in given:
            raise QueryError("--period", "give either a period or since and until")
        period = parse_period(given["period"], zone, now, "--period")
        if period.start == period.end:
            raise QueryError("--period", f"{given['period'][:64]!r} is a moment; use --since")
        return period
    since, until = EPOCH, LATEST
    if "since" in given or "billing_period" not in given:
        since = parse_period(given.get("since", "month"), zone, now, "--since").start
    if "until" in given or "billing_period" not in given:
        until = parse_period(given.get("until", "now"), zone, now, "--until").start
    return Period(since, until)


def from_pairs(pairs: Iterable[tuple[str, str]], now: datetime) -> SpendQuery:
    """Build a query from named texts; relative times count from ``now``.

    Raises:
        QueryError: naming the option, what is wrong and what is expected.
    """
    given, where = gather(pairs, NAMES)
    period = parse_range(given, now)
    zone = zone_of(given.get("tz", "UTC"))
    booked = given.get("booked_before")
    return SpendQuery(
        since=period.start,
        until=period.end,
        tz=given.get("tz", "UTC"),
        by=split_names(given.get("by", "")),
        where=tuple(where),
        measures=split_names(given.get("measures", "")) or measures.DEFAULT,
        order=split_names(given.get("order", "")),
        limit=parse_limit(given.get("limit"), ROWS_MAX),
        booked_before=parse_period(booked, zone, now, "--booked-before").start if booked else None,
        billing_period=given.get("billing_period"),
    )


def gather(
    pairs: Iterable[tuple[str, str]], names: Sequence[str]
) -> tuple[dict[str, str], list[Filter]]:
    """Return the options by name and the filters, refusing unknown and repeated ones.

    Raises:
        QueryError: an unknown name, or one given twice (``where`` may be).
    """
    given: dict[str, str] = {}
    where: list[Filter] = []
    for name, text in pairs:
        if name not in names:
            raise UnknownNameError("query", name, names)
        if name == "where":
            where.append(parse_filter(text))
        elif name in given:
            raise QueryError(f"--{name}", "is given twice")
        else:
            given[name] = text
    return given, where


def split_names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of names."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_limit(text: str | None, default: int) -> int:
    """Read a number of rows.

    Raises:
        QueryError: not a whole number.
    """
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise QueryError("--limit", f"{text[:64]!r} is not a whole number")
    return int(text)


def to_pairs(query: SpendQuery) -> Pairs:
    """Write a query as named texts; :func:`from_pairs` gives it back, whatever the time is.

    What a billing period was looked up to be is left out: it is looked up again.
    """
    pairs = [("since", _moment(query.since)), ("until", _moment(query.until)), ("tz", query.tz)]
    if query.by:
        pairs.append(("by", ",".join(query.by)))
    pairs.extend(("where", format_filter(item)) for item in query.where)
    if query.measures != measures.DEFAULT:
        pairs.append(("measures", ",".join(query.measures)))
    if query.order:
        pairs.append(("order", ",".join(query.order)))
    if query.limit != ROWS_MAX:
        pairs.append(("limit", str(query.limit)))
    if query.booked_before:
        pairs.append(("booked_before", _moment(query.booked_before)))
    if query.billing_period:
        pairs.append(("billing_period", query.billing_period))
    return pairs


def to_url(query: SpendQuery) -> str:
    """Write a query as an URL's query string."""
    return urlencode(to_pairs(query))


def to_options(query: SpendQuery) -> list[str]:
    """Write a query as command-line options."""
    return [
        text for name, value in to_pairs(query) for text in (f"--{name.replace('_', '-')}", value)
    ]


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
