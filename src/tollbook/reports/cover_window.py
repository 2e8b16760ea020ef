"""What stands for the entries of a billing period: a rollup within its month, and entries beside.

Entries that name a period belong to it wherever they were called, and rollups do not tell them
apart. They are few, corrections and shares, so the hours or days that have any are added up from
entries alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollbook.reports.table import timestamp_sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tollbook.reports.cover import Cover
    from tollbook.reports.query import SpendQuery


def span_of(query: SpendQuery) -> tuple[datetime, datetime]:
    """Return the range that rollups may answer: of a billing period what lies in its month."""
    window = query.entry_window
    if window is None:
        return query.since, query.until
    since = max(query.since, window.start)
    return since, max(since, min(query.until, window.end))


def window_parts(query: SpendQuery, cover: Cover) -> Sequence[tuple[str, str]]:
    """Return tables, and which of their rows make up a billing period as billed.

    The rules are those of :func:`tollbook.reports.table.in_window`, each entry in one part.
    """
    window = query.entry_window
    assert window is not None, "a billing period is looked up before it is asked"
    first, last = (timestamp_sql(one) for one in span_of(query))
    since, until = timestamp_sql(query.since), timestamp_sql(query.until)
    start, end = timestamp_sql(cover.start), timestamp_sql(cover.end)
    whole = f"called_at >= {start} AND called_at < {end}"
    upto, grain = cover.upto_entry, cover.rollup.grain
    rolled = f"{whole} AND entry_id <= {upto}"
    stretch = f"date_trunc('{grain}', called_at)"
    mixed = f"SELECT {stretch} FROM entries WHERE {rolled} AND billing_period IS NOT NULL"  # noqa: S608 -- no text of a caller
    known = "" if window.upto_entry is None else f" AND entry_id <= {window.upto_entry}"
    own, asked = "billing_period IS NULL", f"called_at >= {since} AND called_at < {until}"
    unpriced = f"{own} AND part > 0 AND cost_usd IS NULL"
    parts = [
        (cover.rollup.table, f"{whole} AND upto_entry <= {upto} AND called_at NOT IN ({mixed})"),
        ("entries", f"{rolled} AND {own} AND {stretch} IN ({mixed})"),
        ("entries", f"{rolled} AND {unpriced} AND {stretch} NOT IN ({mixed})"),
        ("entries", f"{whole} AND entry_id > {upto} AND {own}{known}"),
        ("entries", f"called_at >= {first} AND called_at < {start} AND {own}{known}"),
        ("entries", f"called_at >= {end} AND called_at < {last} AND {own}{known}"),
        ("entries", f"{asked} AND billing_period = '{window.period}'{known}"),
    ]  # fmt: skip
    if window.after_entry is not None:
        month = timestamp_sql(window.start)
        earlier = f"({own} AND called_at < {month}) OR billing_period < '{window.period}'"
        late = f"{asked} AND entry_id > {window.after_entry}{known} AND ({earlier})"
        parts.append(("entries", late))
    return parts
