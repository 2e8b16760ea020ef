"""Usage of calls by what another price of it would depend on: to price it again without its calls.

Quantities of calls that meet the same rates can be added up before they are priced, where a rate is
a whole number of pico for each unit. Where it is not, each call's product is rounded, so usage is
grouped by the very quantities and counted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tollbook.money import pico_from_usd
from tollbook.reports.over import keys_sql, rows_sql
from tollbook.usage import INPUT_KINDS, KINDS, Kinds, kinds_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

_MODEL = "coalesce(model_actual, model_requested)"
_INPUT = " + ".join(f"abs(coalesce({kind}, 0))" for kind in INPUT_KINDS)
_SIGN = "CASE WHEN kind = 'reversal' THEN -1 ELSE 1 END"
_KINDS = ", ".join(f"coalesce({kind}, 0)" for kind in KINDS)
_SUMS = ", ".join(f"sum(coalesce({kind}, 0))" for kind in KINDS)
_MASK = " + ".join(f"(coalesce({kind}, 0) <> 0)::BIGINT * {2**at}" for at, kind in enumerate(KINDS))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    """What a price is chosen by, beside the model and the time."""

    provider: str
    model: str
    tier: str | None
    region: str | None


class UsageGroup(NamedTuple):
    """Usage that is priced alike."""

    group: tuple[Any, ...]
    place: Place
    segment: int
    """How many of the moments are not after the calls."""
    bucket: int
    """How many of the edges the input exceeds."""
    calls: int
    kinds: Kinds
    """Sums over the calls; of a group by quantities, those of each call."""
    cost: int
    """Pico that they cost."""
    times: int = 1
    """Of a group by quantities, how many calls it is."""


def places(reader: Reader, query: SpendQuery) -> list[Place]:
    """Return what the prices of a query's calls were chosen by.

    Raises:
        QueryTimeoutError: it took too long.
    """
    rows = reader.fetch(f"""
        SELECT DISTINCT provider, {_MODEL}, price_tier, region FROM ({rows_sql(query)})
        WHERE cost_usd IS NOT NULL AND price_state = 'priced' AND {_MODEL} IS NOT NULL
    """)  # noqa: S608 -- our own statement
    return [Place(*row) for row in rows]


def usage_groups(
    reader: Reader, query: SpendQuery, moments_ns: Sequence[int], edges: Sequence[int],
    *, is_by_quantity: bool = False,
) -> list[UsageGroup]:  # fmt: skip
    """Return the usage of a query's priced calls.

    Args:
        reader: the ledger.
        query: range, groups and filters.
        moments_ns: when prices change, ascending.
        edges: inputs, ascending, that a price step lies above.
        is_by_quantity: whether calls are told apart by their quantities.

    Raises:
        QueryTimeoutError: it took too long.
    """
    keys, width = keys_sql(query), len(query.by)
    segment = " + ".join(f"(called_at >= {_timestamp(at)})::INTEGER" for at in moments_ns) or "0"
    bucket = " + ".join(f"(({_INPUT}) > {int(edge)})::INTEGER" for edge in edges) or "0"
    if is_by_quantity:
        columns = ", ".join(f"abs(coalesce({kind}, 0)) AS q{at}" for at, kind in enumerate(KINDS))
        names = ", ".join(f"q{at}" for at in range(len(KINDS)))
        more, grouped = names, f", {names}"
    else:
        columns, more, grouped = f"{_MASK} AS mask, {_KINDS}", _SUMS, ", mask"
    rows = reader.fetch(f"""
        SELECT {keys} provider, {_MODEL} AS model, price_tier, region, segment, bucket,
            sum(calls), sum(cost_usd), sum(sign), {more}
        FROM (SELECT *, {segment} AS segment, {bucket} AS bucket, {_SIGN} AS sign, {columns}
              FROM ({rows_sql(query)})
              WHERE cost_usd IS NOT NULL AND price_state = 'priced' AND {_MODEL} IS NOT NULL)
        GROUP BY {keys} provider, {_MODEL}, price_tier, region, segment, bucket {grouped}
    """)  # noqa: S608 -- our own statement
    found = []
    for row in rows:
        tier_at = width + 4
        segment_at, bucket_at, calls, cost, times, *kinds = row[tier_at:]
        found.append(
            UsageGroup(
                row[:width], Place(*row[width:tier_at]), int(segment_at), int(bucket_at),
                int(calls), kinds_from(tuple(int(one) for one in kinds)), pico_from_usd(cost),
                int(times),
            )
        )  # fmt: skip
    return [one for one in found if one.times or one.cost or any(one.kinds)]


def _timestamp(at_ns: int) -> str:
    at = _EPOCH + timedelta(microseconds=at_ns // 1000)
    return f"TIMESTAMP '{at.replace(tzinfo=None).isoformat(sep=' ', timespec='microseconds')}'"
