"""Incidents, what was expected, and notifications."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tollbook.books.migrations.append_only import forbid_changes

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the tables, and triggers that keep them append-only."""
    _create_incidents()
    _create_notifications()
    forbid_changes(("incidents", "incident_events", "notifications", "notification_events"), "are")


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("incident_id", sa.Integer, primary_key=True),
        sa.Column("dedup_key", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("opened_at_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "incident_events",
        sa.Column("event_id", sa.Integer, primary_key=True),
        sa.Column("incident_id", sa.Integer, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("incident_events_by_incident", "incident_events", ["incident_id"])


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("notification_id", sa.Integer, primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False, unique=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("incident_id", sa.Integer),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("planned_at_ns", sa.BigInteger, nullable=False),
        sa.Column("planned_by", sa.Text, nullable=False),
    )
    op.create_table(
        "notification_events",
        sa.Column("event_id", sa.Integer, primary_key=True),
        sa.Column("notification_id", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("http_status", sa.Integer),
        sa.Column("detail", sa.Text),
    )
    op.create_index(
        "notification_events_by_notification", "notification_events", ["notification_id"]
    )
