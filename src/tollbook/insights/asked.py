"""What every insight is asked: a range, a zone, filters; and the shape of what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from msgspec import Struct

from tollbook import clock
from tollbook.money import usd_text
from tollbook.reports import dimensions
from tollbook.reports.errors import QueryError, UnknownNameError
from tollbook.reports.params import from_pairs, to_pairs
from tollbook.reports.query import SpendQuery
from tollbook.reports.spend import CURRENCY, run_spend

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tollbook.desk import Desk
    from tollbook.reports.params import Pairs

SINCE: Final = "30d"
LIMIT_MAX: Final = 1_000


class Asked(Struct, forbid_unknown_fields=True, kw_only=True):
    """A range of calls, as spend queries have it."""

    since: str | None = None
    """Where neither it nor ``period`` is given, thirty days ago."""
    until: str | None = None
    period: str | None = None
    """A day, week or month, instead of the two."""
    tz: str = "UTC"
    where: list[str] = []
    """Filters such as ``tenant=acme``."""
    limit: int = 50
    """Rows shown; totals are of all."""


def checked_limit(limit: int) -> int:
    """Return a number of rows.

    Raises:
        QueryError: it is none or too many.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise QueryError("--limit", f"{limit} is not between 1 and {LIMIT_MAX}")
    return limit


def dimension_of(name: str) -> str:
    """Return the name of a dimension that is not a time.

    Raises:
        UnknownNameError: there is no such dimension.
    """
    if not dimensions.is_filter(name):
        known = [one for one in dimensions.NAMES if one not in dimensions.TIMES]
        raise UnknownNameError("--by", name, known)
    return name


def query_of(
    asked: Asked, *, by: Sequence[str] = (), measures: Sequence[str] = ("calls", "cost_usd"),
    where: Iterable[str] = (),
) -> SpendQuery:  # fmt: skip
    """Return the spend query of a request.

    Args:
        asked: the request.
        by: dimensions.
        measures: as spend queries name them.
        where: further filters.

    Raises:
        QueryError: a time, zone, filter or name that is not understood.
    """
    pairs: Pairs = [("tz", asked.tz), ("measures", ",".join(measures))]
    pairs += [("where", text) for text in (*asked.where, *where) if text]
    if asked.period is not None:
        pairs.append(("period", asked.period))
    if asked.since is not None or asked.period is None:
        pairs.append(("since", asked.since or SINCE))
    if asked.until is not None:
        pairs.append(("until", asked.until))
    if by:
        pairs.append(("by", ",".join(by)))
    return from_pairs(pairs, clock.utc_now())


class Finding(Struct, frozen=True, kw_only=True):
    """What an insight found, before it is sent."""

    rows: list[dict[str, Any]]
    """Money as decimal text; dimensions under their names, so that a row leads to its calls."""
    totals: dict[str, Any]
    headline: str
    """One sentence."""
    at_stake: int | None
    """Pico that the insight is about, for ranking; None: unknown, or nothing to rank by."""
    method: str
    """How it was computed, formulas in words."""
    by: tuple[str, ...] = ()
    """Dimensions that the rows are named by."""
    more: dict[str, Any] = {}


def answer(desk: Desk, query: SpendQuery, found: Finding) -> dict[str, Any]:
    """Return an insight as the API sends it, with what must be known before it is trusted."""
    whole = SpendQuery(since=query.since, until=query.until, tz=query.tz, where=query.where)
    pairs = [pair for pair in to_pairs(whole) if pair[0] != "measures"]
    return {
        "rows": found.rows, "totals": found.totals, "headline": found.headline,
        "at_stake_usd": None if found.at_stake is None else usd_text(found.at_stake),
        "method": found.method, "by": list(found.by),
        **found.more,
        "calls": f"/calls?{urlencode(pairs)}",
        "query": {
            "since": query.since, "until": query.until, "tz": query.tz,
            "where": [value for name, value in pairs if name == "where"],
        },
        "completeness": run_spend(desk.reader, whole).completeness,
        "currency": CURRENCY,
    }  # fmt: skip


def usd_or_none(pico: int | None) -> str | None:
    """Return an amount as text; None stays unknown."""
    return None if pico is None else usd_text(pico)


def shown(pico: int | None) -> str:
    """Return dollars as a sentence has them: to the cent, small ones to three digits."""
    if pico is None:
        return "an unknown amount"
    sign, amount = "-" if pico < 0 else "", abs(pico)
    if amount >= 10**12 or amount == 0:
        cents = (amount + 5 * 10**9) // 10**10
        return f"{sign}${cents // 100:,}.{cents % 100:02d}"
    whole = usd_text(amount)
    digits = len(whole) - len(whole[2:].lstrip("0")) + 3
    return f"{sign}${whole[:digits]}"
