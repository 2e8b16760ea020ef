"""How much of one request is read."""

from __future__ import annotations

from typing import Final

RECORDS_MAX: Final = 50_000
"""Spans or log records; exporters send some hundreds at a time."""
NS_MAX: Final = 2**63 - 1
"""The latest time that fits the ledger's timestamps (the year 2262)."""
