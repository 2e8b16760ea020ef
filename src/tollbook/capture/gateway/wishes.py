"""What a caller asks of the gateway itself: its cost, an answer that was given before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tollbook.capture.gateway.cost_report import WISH as REPORT
from tollbook.capture.gateway.headers import CACHE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tollbook.config import Config
    from tollbook.dialects.base import Header

_CACHE_CONTROL: Final = b"cache-control"
_YES: Final = frozenset({b"use", b"true", b"on", b"1"})


class Wishes(NamedTuple):
    """What one request asks for."""

    cost: bool = False
    cache: bool = False
    """Whether the response cache is asked at all; ``x-tollbook-cache`` says what came of it."""
    may_read: bool = False
    may_keep: bool = False


def wishes_of(headers: Sequence[Header], config: Config) -> Wishes | None:
    """Return what a metered request asks for; None for a plain one.

    ``Cache-Control: no-store`` of the client keeps its answer out of the cache, and ``no-cache``
    asks for a fresh one (RFC 9111 section 5.2.1).
    """
    report_cost, cache = config.gateway.report_cost, config.response_cache
    wants_cost = report_cost == "always"
    wants_cache = cache.enabled and cache.requests == "all"
    is_fresh = is_secret = False
    for name, value in headers:
        if name == REPORT:
            named = [part.strip() for part in value.lower().split(b",")]
            wants_cost = wants_cost or b"cost" in named
        elif name == CACHE:
            wants_cache = cache.enabled and value.lower() in _YES
        elif name == _CACHE_CONTROL:
            is_secret = is_secret or b"no-store" in value.lower()
            is_fresh = is_fresh or b"no-cache" in value.lower()
    wants_cost = wants_cost and report_cost != "never"
    if not wants_cost and not wants_cache:
        return None
    return Wishes(
        wants_cost,
        wants_cache,
        may_read=wants_cache and not is_fresh and not is_secret,
        may_keep=wants_cache and not is_secret,
    )
