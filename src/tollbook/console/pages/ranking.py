"""The values of a dimension as rows that people compare: cost, change, unit cost, trend.

Sums come from reports, the range's and that before it; the rest is exact quotients of them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tollbook.console.pages.range import auto_grain, buckets, previous, seen
from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.errors import QueryError
from tollbook.reports.exact_ratio import percent, usd_each
from tollbook.reports.params import format_filter
from tollbook.reports.query import ROWS_MAX, Filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.console.pages.context import PageContext
    from tollbook.reports.spend import SpendReport

MEASURES: Final = ("calls", "errors", "input_tokens", "output_tokens", "cost_usd")
CHANGES: Final = ("change_usd", "change_percent")
PAGE_ROWS: Final = 50
_DAY: Final = timedelta(days=1)


class Ranking(NamedTuple):
    """A page of rows, and the report of all of them."""

    rows: list[dict[str, Any]]
    report: SpendReport
    """Its totals are those of all rows, on this page or not."""
    number: int | None
    """How many rows there are in all; None where a search has chosen."""
    page: int
    is_last: bool
    has_previous: bool
    """There is a range before, so changes are known."""


def ranking(
    context: PageContext, dimension: str, *, measures: Sequence[str] = MEASURES,
    rows_on_page: int = PAGE_ROWS, where: Sequence[str] = (), has_trend: bool = True,
) -> Ranking:  # fmt: skip
    """Return the values of a dimension in a page's range, in the order of its URL.

    ``order`` is a measure, the dimension itself, or a change, with ``-`` for the largest first;
    ``search`` keeps names that hold a text; ``page`` counts from 1. As CSV all rows are there.

    Raises:
        QueryError: a wrong name, or a page that is no number.
        QueryTimeoutError: it took too long.
    """
    order = context.get("order") or "-cost_usd"
    search = (context.get("search") or "").casefold()
    page = 1 if context.wanted == "csv" else page_number(context)
    size = ROWS_MAX if context.wanted == "csv" else rows_on_page
    by_change = order.removeprefix("-") in CHANGES
    needs_all = bool(search) or by_change
    report = context.spend(
        by=(dimension,), measures=measures, where=where,
        order=("-cost_usd" if by_change else order,),
        limit=ROWS_MAX if needs_all else min(page * size, ROWS_MAX),
    )  # fmt: skip
    rows = [row for row in report.rows if not row.get("is_other")]
    rest = [row for row in report.rows if row.get("is_other")]
    number = len(rows) + sum(int(row["groups"]) for row in rest)
    if search:
        rows = [row for row in rows if search in (row[dimension] or "").casefold()]
    first = (page - 1) * size
    if not by_change:
        is_last = len(rows) <= first + size and (needs_all or not rest)
        rows = rows[first : first + size]
    before = _before(context, dimension, rows, by_change=by_change, where=where)
    rows = [_compared(row, dimension, before) for row in rows]
    if by_change:
        sign = -1 if order.startswith("-") else 1
        name = order.removeprefix("-")
        rows.sort(key=lambda row: _key(row[name], sign))
        is_last = len(rows) <= first + size
        rows = rows[first : first + size]
    if has_trend:
        trends = _trends(context, dimension, rows, where)
        rows = [row | {"trend": trends.get(row[dimension])} for row in rows]
    if rest and (context.wanted == "csv" or (page == 1 and is_last)):
        rows += rest
    return Ranking(
        rows, report, None if search else number, page, is_last, before is not None
    )  # fmt: skip


def page_number(context: PageContext) -> int:
    """Return the page of a table in the URL, from 1 on.

    Raises:
        QueryError: it is no such number.
    """
    text = context.get("page") or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= ROWS_MAX):
        raise QueryError("page", f"{text[:64]!r} is not a number from 1 on")
    return int(text)


def _before(
    context: PageContext, dimension: str, rows: Sequence[dict[str, Any]], *, by_change: bool,
    where: Sequence[str],
) -> dict[Any, str | None] | None:  # fmt: skip
    """Return what each cost in the range before; None where there is none."""
    pairs = previous(context)
    if pairs is None:
        return None
    names = tuple(row[dimension] for row in rows)
    only = [] if by_change or not names else [format_filter(Filter(dimension, names))]
    asked = context.query_pairs(by=(dimension,), where=(*where, *only), range_pairs=pairs)
    return {
        name: None if cost is None else usd_text(cost)
        for (name,), cost in context.house.answers.costs(asked)
    }


def _compared(
    row: dict[str, Any], dimension: str, before: dict[Any, str | None] | None
) -> dict[str, Any]:
    more: dict[str, Any] = {"cost_per_call_usd": None, "change_usd": None, "change_percent": None}
    cost, calls = row.get("cost_usd"), row.get("calls")
    if cost is not None and calls:
        more["cost_per_call_usd"] = usd_each(pico_from_usd(cost), calls)
    if row.get("errors") is not None and calls:
        more["errors_percent"] = percent(row["errors"], calls)
    if before is not None:
        more |= change(cost, before.get(row[dimension], "0"))
    return row | more


def change(now: str | None, before: str | None) -> dict[str, str | None]:
    """Return the change between two amounts of dollars, absolute and in percent of the first.

    Unknown amounts have none; from nothing to something there is no percent.
    """
    if now is None or before is None:
        return {"change_usd": None, "change_percent": None}
    difference = pico_from_usd(now) - pico_from_usd(before)
    return {
        "change_usd": usd_text(difference),
        "change_percent": percent(difference, pico_from_usd(before)),
    }


def _key(value: str | None, sign: int) -> tuple[bool, int]:
    return value is None, 0 if value is None else sign * pico_from_usd(value)


def _trends(
    context: PageContext, dimension: str, rows: Sequence[dict[str, Any]], where: Sequence[str]
) -> dict[Any, list[int]]:
    """Return the cost of each over the range, in steps of equal length; 0 where it had no calls."""
    if not rows or context.wanted == "csv":
        return {}
    period = seen(context)
    grain = auto_grain((period.end - period.start) / _DAY)
    names = tuple(row[dimension] for row in rows)
    only = format_filter(Filter(dimension, names))
    asked = context.query_pairs(by=(dimension, grain), where=(*where, only))
    known: dict[Any, dict[str, int]] = {}
    for (name, step), cost in context.house.answers.costs(asked):
        known.setdefault(name, {})[str(step)] = cost or 0
    used = {step for steps in known.values() for step in steps}
    steps = buckets(period, grain, context.tz)
    while steps and steps[0] not in used:
        steps = steps[1:]
    return {name: [own.get(step, 0) for step in steps] for name, own in known.items()}
