"""What was delivered to billing systems, and revenue that came from them."""

from __future__ import annotations

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables."""
