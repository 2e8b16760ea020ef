"""Accounts, sessions, tokens of programs, and the keys that sign."""

from __future__ import annotations

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables."""
