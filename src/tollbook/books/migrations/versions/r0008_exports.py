"""Exports that were made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table, and triggers that keep it append-only."""
    op.create_table(
        "exports",
        sa.Column("export_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("billing_period", sa.Text),
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("created_at_ns", sa.BigInteger, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER exports_no_{verb.lower()} BEFORE {verb} ON exports "
            "BEGIN SELECT RAISE(ABORT, 'exports are append-only'); END"
        )
