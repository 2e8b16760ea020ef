"""Tables of reconciliations, the differences they found, and what was said of them.

Append-only by triggers. Money is the text of an integer of pico, because 64 bits are too few.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from tollbook.books.tables import metadata

reconciliations: Final = Table(
    "reconciliations",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),  # in the order of the runs
    Column("provider", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("created_at_ns", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON, without its differences
)

differences: Final = Table(
    "differences",
    metadata,
    Column("run_id", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("amount_pico", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON
)

remarks: Final = Table(
    "difference_remarks",
    metadata,
    Column("remark_id", Integer, primary_key=True),
    # a fingerprint of a difference, or the id of a run
    Column("about", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("state", Text),
    Column("owner", Text),
    Column("note", Text),
)
