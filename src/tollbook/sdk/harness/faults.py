"""Faults of the harness itself: counted, told of once, never given to the caller."""

from __future__ import annotations

import logging
from collections import Counter

logger = logging.getLogger("tollbook.sdk")

counts: Counter[str] = Counter()
"""How often what failed, since the start: ``"feed: ValueError"``."""


def note(where: str, error: BaseException) -> None:
    """Count a fault; the first of its kind is logged, by its type alone.

    What an error says may quote a request.
    """
    kind = f"{where}: {type(error).__name__}"
    counts[kind] += 1
    if counts[kind] == 1:
        logger.warning("a call was not metered in full (%s); the call itself went on", kind)


def tell_once(key: str, message: str, *arguments: object) -> None:
    """Log a condition that the operator can mend, once in this process."""
    counts[key] += 1
    if counts[key] == 1:
        logger.warning(message, *arguments)
