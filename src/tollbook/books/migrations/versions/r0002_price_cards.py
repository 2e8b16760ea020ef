"""Price cards that entries were rated with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table, and triggers that keep it append-only."""
    op.create_table(
        "price_cards",
        sa.Column("card_id", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("effective_from_ns", sa.BigInteger),
        sa.Column("effective_until_ns", sa.BigInteger),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("first_seen_at_ns", sa.BigInteger, nullable=False),
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER price_cards_no_{verb.lower()} BEFORE {verb} ON price_cards "
            "BEGIN SELECT RAISE(ABORT, 'price cards are append-only'); END"
        )
