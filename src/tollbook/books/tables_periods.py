"""Tables of billing periods and of the allocation runs that belong to them; see migration 0007.

All are append-only by triggers. A period's state is what its events add up to; that it is closed
is one row of ``period_closes``, which can be there once.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from tollbook.books.tables import metadata

period_events: Final = Table(
    "period_events",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("period", Text, nullable=False),  # YYYY-MM
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("reason", Text),
    Column("detail", Text, nullable=False),  # JSON object
)

period_seals: Final = Table(
    "period_seals",
    metadata,
    Column("seal", Text, primary_key=True),  # SHA-256 of the body
    Column("period", Text, nullable=False),
    Column("cutoff_entry_id", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON, opaque here
    Column("prepared_by", Text, nullable=False),
    Column("prepared_at_ns", BigInteger, nullable=False),
)

period_closes: Final = Table(
    "period_closes",
    metadata,
    Column("period", Text, primary_key=True),
    Column("seal", Text, nullable=False),
    Column("cutoff_entry_id", BigInteger, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("closed_by", Text, nullable=False),
    Column("closed_at_ns", BigInteger, nullable=False),
)

allocation_runs: Final = Table(
    "allocation_runs",
    metadata,
    Column("run_id", Text, primary_key=True),  # allocation:YYYY-MM:sequence
    Column("period", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("policy_id", Text, nullable=False),  # document id of the policy
    Column("booked", Integer, nullable=False),  # entries
    Column("body", Text, nullable=False),  # JSON: the whole result, not only what was new
    Column("author", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)
