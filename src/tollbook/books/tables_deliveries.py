"""Tables of what is delivered to billing systems: what is to be sent, and what came of it.

Both append-only. What is to be sent is written before anything is sent, under the id that the
billing system tells copies by; every attempt is an event, the last of which is the state.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from tollbook.books.tables import metadata

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("delivery_id", Integer, primary_key=True),  # in the order in which they were planned
    Column("delivery_key", Text, nullable=False),  # the id that is sent
    Column("system", Text, nullable=False),  # name of its document
    Column("document_id", Text, nullable=False),  # the version that it was planned by
    Column("meter", Text, nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("customer_id", Text),  # None: nobody said who that is
    Column("bucket_ns", BigInteger, nullable=False),  # start, UTC
    Column("event_ns", BigInteger, nullable=False),  # the time that is sent
    Column("sequence", Integer, nullable=False),  # from 1, within meter, tenant and bucket
    Column("quantity", Text, nullable=False),  # integer of the meter's units: the increment
    Column("total", Text, nullable=False),  # with it and all before that count
    Column("cancels", Text),  # delivery_key of the event that it takes back
    Column("planned_at_ns", BigInteger, nullable=False),
    Column("planned_by", Text, nullable=False),
)

delivery_events: Final = Table(
    "delivery_events",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("delivery_key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("http_status", Integer),
    Column("detail", Text),
    Column("actor", Text, nullable=False),
)
