"""The only place that reads the time, so that tests and simulations can set it.

Times that flow between stages are integer nanoseconds since 1970-01-01 UTC; there is no naive
datetime anywhere (tools/check_source.py keeps it so).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

NS_PER_S = 1_000_000_000

unix_ns = time.time_ns
"""Wall clock, nanoseconds since the epoch, UTC."""

monotonic_ns = time.monotonic_ns
"""For durations; its zero means nothing."""


cpu_ns = time.process_time_ns
"""Processor time of this process, all its threads."""


def utc_now() -> datetime:
    """Return the wall clock as an aware UTC datetime."""
    return datetime.now(tz=UTC)
