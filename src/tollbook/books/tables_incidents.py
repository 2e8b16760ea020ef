"""Tables of incidents and of the notifications about them; all of them append-only.

What an incident is, and what became of a notification, follows from their events.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from tollbook.books.tables import metadata

incidents: Final = Table(
    "incidents",
    metadata,
    Column("incident_id", Integer, primary_key=True),
    Column("dedup_key", Text, nullable=False),  # of the cause
    Column("tenant_id", Text),  # the only one it is about; None: several
    Column("opened_at_ns", BigInteger, nullable=False),
)

incident_events: Final = Table(
    "incident_events",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("incident_id", Integer, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON object
)

notifications: Final = Table(
    "notifications",
    metadata,
    Column("notification_id", Integer, primary_key=True),
    Column("message_id", Text, nullable=False),  # by which receivers tell copies
    Column("channel", Text, nullable=False),  # name of its document
    Column("incident_id", Integer),  # None: a test
    Column("event", Text, nullable=False),  # trigger, acknowledge, resolve, test
    Column("message", Text, nullable=False),  # JSON object: what is told, without secrets
    Column("planned_at_ns", BigInteger, nullable=False),
    Column("planned_by", Text, nullable=False),
)

notification_events: Final = Table(
    "notification_events",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("notification_id", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("http_status", Integer),
    Column("detail", Text),
)
