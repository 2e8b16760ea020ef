"""The table of exports that were made; see migration 0008. Append-only by triggers."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text

from tollbook.books.tables import metadata

exports: Final = Table(
    "exports",
    metadata,
    Column("export_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("billing_period", Text),  # YYYY-MM; NULL: a range of time
    Column("view", Text, nullable=False),  # billed or known
    Column("created_at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("manifest", Text, nullable=False),  # JSON: query, completeness, prices, files, totals
)
