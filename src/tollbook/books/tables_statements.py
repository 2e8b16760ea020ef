"""Tables of providers' statements: the bytes as received, the statements, their lines.

Lines are loaded under a ``load_id`` in several transactions, so that a large file does not hold the
books' write lock; they count from the moment the row of their statement is there, and triggers
keep both from being changed from then on. A load that was cut off is never read, and may go.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from tollbook.books.tables import metadata

statement_raws: Final = Table(
    "statement_raws",
    metadata,
    Column("raw_sha256", Text, primary_key=True),  # of what was received
    Column("part", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),  # the parts one after the other are a gzip file
)

statements: Final = Table(
    "statements",
    metadata,
    Column("statement_id", Text, primary_key=True),
    Column("load_id", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("account", Text),
    Column("basis", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("scope", Text),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("first_line_ns", BigInteger),
    Column("last_line_ns", BigInteger),
    Column("currency", Text, nullable=False),
    Column("finality", Text, nullable=False),
    Column("invoice_id", Text),
    Column("received_by", Text, nullable=False),
    Column("file_name", Text),
    Column("raw_sha256", Text, nullable=False),
    Column("raw_bytes", BigInteger, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("problems", Text, nullable=False),  # JSON array
)

statement_sightings: Final = Table(
    "statement_sightings",
    metadata,
    Column("statement_id", Text, primary_key=True),
    Column("fetched_at_ns", BigInteger, primary_key=True),
    Column("received_at_ns", BigInteger, nullable=False),
)
"""When the provider said it: a pull that finds the same content again is one more sighting."""

statement_marks: Final = Table(
    "statement_marks",
    metadata,
    Column("mark_id", Integer, primary_key=True),
    Column("statement_id", Text, nullable=False),
    Column("mark", Text, nullable=False),  # final, withdrawn
    Column("at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

statement_lines: Final = Table(
    "statement_lines",
    metadata,
    Column("load_id", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("anchor_ns", BigInteger, nullable=False),  # start_ns, within what its statement covers
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("project", Text),
    Column("api_key", Text),
    Column("model", Text),
    Column("kind", Text),
    Column("tier", Text),
    Column("region", Text),
    Column("context_window", Text),
    Column("category", Text, nullable=False),
    Column("quantity", Text),  # integers as text: products of tokens pass 64 bits
    Column("requests", BigInteger),
    Column("amount", Text),  # pico of US dollars
    Column("currency", Text, nullable=False),
    Column("amount_in_currency", Text),
    Column("description", Text),
    Column("tags", Text),  # JSON object, None for none
)

statement_watermarks: Final = Table(
    "statement_watermarks",
    metadata,
    Column("watermark_id", Integer, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("account", Text),
    Column("source", Text, nullable=False),
    Column("scope", Text),
    Column("until_ns", BigInteger, nullable=False),  # pulled whole up to here
    Column("at_ns", BigInteger, nullable=False),
)
"""How far an API has been pulled; the greatest is in force, so pulls may overlap and repeat."""
