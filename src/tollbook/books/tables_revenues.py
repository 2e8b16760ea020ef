"""Table of revenue: lines of invoices and credit notes as billing systems and files told them.

Append-only. A line that is told again with other content is one more revision; the highest is in
force, and the earlier ones say what was believed before.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from tollbook.books.tables import metadata

revenues: Final = Table(
    "revenues",
    metadata,
    Column("revenue_id", Integer, primary_key=True),
    Column("source", Text, nullable=False),  # stripe, lago, csv:NAME
    Column("line_id", Text, nullable=False),  # the source's own, unique within it for ever
    Column("revision", Integer, nullable=False),  # from 1
    Column("document_id", Text, nullable=False),  # the invoice or credit note
    Column("category", Text, nullable=False),  # invoice, credit_note
    Column("status", Text, nullable=False),  # counted, void
    Column("customer_id", Text),
    Column("tenant_id", Text),
    Column("plan", Text),
    Column("feature", Text),
    Column("issued_at_ns", BigInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),  # of the service that it pays for
    Column("end_ns", BigInteger, nullable=False),
    Column("amount", Text, nullable=False),  # 10^-12 of the currency, without tax
    Column("currency", Text, nullable=False),  # ISO 4217, upper case
    Column("description", Text),
    Column("content_sha256", Text, nullable=False),
    Column("imported_at_ns", BigInteger, nullable=False),
    Column("author", Text, nullable=False),
)
