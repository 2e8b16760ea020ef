"""Digests over the entries of a period, by the day they are of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tollbook.money import pico_from_usd, usd_text
from tollbook.reports.table import entries, selected, to_sql
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

BLOCK_ENTRIES: Final = 50_000
"""Entries whose text the database holds at a time for one digest."""
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
    alike; blocks of rows are hashed by the database (SHA-256), and the blocks of a day here.

    Raises:
        QueryTimeoutError: it took too long.
    """
    rows = selected(entries(), query)
    table = rows.select(*COLUMNS)
    texts = ", ".join(
        f"coalesce(strlen({name}::VARCHAR)::VARCHAR || ':' || {name}::VARCHAR, '-')"
        for name in COLUMNS
    )
    found = reader.fetch(
        f"SELECT strftime(called_at, '%Y-%m-%d') AS day, entry_id // {BLOCK_ENTRIES} AS block,"  # noqa: S608 -- constants and what Ibis has quoted
        f" count(*), coalesce(sum(cost_usd), 0),"
        f" sha256(string_agg(concat({texts}), chr(10) ORDER BY entry_id))"
        f" FROM ({to_sql(table)}) GROUP BY day, block ORDER BY day, block"
    )
    by_day: dict[str, list[tuple[int, int, str]]] = {}
    for day, _, count, cost, block_digest in found:
        by_day.setdefault(day, []).append((count, pico_from_usd(cost), block_digest))
    return [
        Slice(
            day, sum(count for count, _, _ in blocks), usd_text(sum(cost for _, cost, _ in blocks)),
            hashlib.sha256("\n".join(one for *_, one in blocks).encode()).hexdigest(),
        )
        for day, blocks in by_day.items()
    ]  # fmt: skip
