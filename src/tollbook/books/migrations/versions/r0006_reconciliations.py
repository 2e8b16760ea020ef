"""Reconciliations, the differences they found, and what became of those."""

from __future__ import annotations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
