"""Digests over the entries of a period, by the day they are of."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from tollbook.money import pico_from_usd, usd_text
from tollbook.reports import measures
from tollbook.reports.table import entries, selected, to_sql
from tollbook.reports.wide import wide_rows
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

BLOCK_ENTRIES: Final = 50_000
"""Ids of entries that are hashed together."""
COLUMNS: Final = (
    "entry_id", "kind", "replaces", "reason", "calls", "call_id", "part", "called_at", "booked_at",
    "tenant_id", "user_id", "team_id", "cost_center", "feature", "environment", "api_key_id",
    "provider", "model_requested", "model_actual", "region", *KINDS, "price_state", "price_tier",
    "price_card_id", "cost_source", "cost_usd", "billable_usd", "billing_rule_id", "adjustment",
    "adjustment_id", "billing_period", "statement_id", "corrects",
)  # fmt: skip
"""Whose an entry is, what it is of, what it costs and why. The chain covers the other columns."""


class Slice(Struct, frozen=True):
    """The entries of one day (UTC); those of earlier months came late."""

    day: str
    entries: int
    cost_usd: str
    digest: str


def slices(reader: Reader, query: SpendQuery) -> list[Slice]:
    """Return a digest for each day of what a query is about, oldest first.

    A row's text is each column's length and value, one after the other, so that no two rows look
    alike. Rows and blocks of rows are hashed by the database (SHA-256), the blocks of a day here;
    a day at a time, so that memory holds the hashes of a day's rows and not more.

    Raises:
        QueryTimeoutError: it took too long.
    """
    daily = replace(query, tz="UTC", by=("day",), measures=(measures.CALLS,), order=())
    days = sorted(row["day"].replace(tzinfo=UTC) for row in wide_rows(reader, daily))
    sql = _digests_sql(query)
    return [_slice(reader, sql, day) for day in days]


def _digests_sql(query: SpendQuery) -> str:
    """Return the statement that hashes a day; making it takes longer than many a day."""
    rows = to_sql(selected(entries(), query).select(*COLUMNS))
    texts = ", ".join(
        f"coalesce(strlen({name}::VARCHAR)::VARCHAR || ':' || {name}::VARCHAR, '-')"
        for name in COLUMNS
    )
    return (
        f"SELECT entry_id // {BLOCK_ENTRIES} AS block, count(*), coalesce(sum(cost_usd), 0),"  # noqa: S608 -- constants and what Ibis has quoted
        f" sha256(string_agg(sha256(concat({texts})), '' ORDER BY entry_id)) FROM ({rows})"
        " WHERE called_at >= ?::TIMESTAMP AND called_at < ?::TIMESTAMP"
        " GROUP BY block ORDER BY block"
    )


def _slice(reader: Reader, sql: str, day: datetime) -> Slice:
    found = reader.fetch(sql, [f"{day:%Y-%m-%d}", f"{day + timedelta(days=1):%Y-%m-%d}"])
    return Slice(
        f"{day:%Y-%m-%d}", sum(count for _, count, *_ in found),
        usd_text(sum(pico_from_usd(cost) for _, _, cost, _ in found)),
        hashlib.sha256("\n".join(one for *_, one in found).encode()).hexdigest(),
    )  # fmt: skip
