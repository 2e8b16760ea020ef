"""``Retry-After`` as HTTP has it, for those who have a clock: seconds or a date."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def retry_after_text_s(value: str, now: datetime) -> float | None:
    """Return the pause that a value asks for in seconds, None where it says none.

    RFC 9110 section 10.2.3: seconds, or a date in one of the three forms of section 5.6.7, of which
    asctime's has no zone and is in UTC. Fractions of a second are read too: some providers send
    them. It has no upper bound, may even be infinite; whoever waits has one.

    Args:
        value: of the header.
        now: the present moment.
    """
    text = value.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
        moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # what is no date, and what no calendar has
