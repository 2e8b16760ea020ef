"""The table of usage that was shown before the call it belongs to was booked."""

from __future__ import annotations

from typing import Final

LATE_USAGE: Final = "late usage: shown by call "
"""How the reason of such a correction begins; the id of the call follows that showed it."""
LATE_TABLES: Final = (
    """CREATE TABLE late_usage (
        provider VARCHAR NOT NULL, provider_response_id VARCHAR NOT NULL, frame BLOB NOT NULL,
        "at" TIMESTAMP NOT NULL, searched_to BIGINT)""",
)
"""``searched_to`` is the last entry that was there when the call was looked for in vain."""
