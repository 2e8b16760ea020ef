"""Top-ups of budgets: more for one owner until a moment. Append-only; see migration 0011."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from tollbook.books.tables import metadata

budget_top_ups: Final = Table(
    "budget_top_ups",
    metadata,
    Column("top_up_id", Integer, primary_key=True),
    Column("budget", Text, nullable=False),  # name of the rule
    Column("owner", Text, nullable=False),  # JSON array: values of the rule's "each", in order
    Column("unit", Text, nullable=False),  # usd, tokens, requests
    Column("amount", Text, nullable=False),  # integer of pico for usd, else of pieces
    Column("expires_at_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
)
