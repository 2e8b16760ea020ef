"""What is planted: traffic that bypasses the gateway, an hour booked twice, and so on.

Each is a rule on records or bills, and the amount that a reconciliation has to find.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Final

from examples.quarter.world import NS, Record, unix_ns

DOUBLED_FROM: Final = datetime(2026, 8, 14, 13, tzinfo=UTC)
DOUBLED_UNTIL: Final = datetime(2026, 8, 14, 14, tzinfo=UTC)
BYPASS_PROJECT: Final = "proj_playground"
BYPASS_KEY: Final = "key_playground"
_BYPASS_EVERY: Final = 50
MISSING_USAGE_DAY: Final = date(2026, 9, 5)
"""Anthropic's usage report lacks it; its cost report and invoice have it."""
WRONG_CARD_MODEL: Final = "claude-haiku-4-5-20251001"
WRONG_CARD_MONTH: Final = "2026-07"
WRONG_CARD_FACTOR: Final = Fraction(95, 100)
"""In July the provider bills 5 per cent less than the card in the books says. The contract's page
that says so is found in August, when July is closed: the late correction."""
SHIFT_S: Final = 2 * 3600
"""Azure's days begin two hours early."""
CREDITS: Final = {("openai", "2026-07"): 250 * 10**12}
TAXES: Final = {("anthropic", "2026-08"): 118_810_000_000_000}
UNITS: Final = 3
UNIT_HOUR: Final = 400_000_000_000
"""Pico of US dollars for one provisioned unit in one hour."""


def is_bypass(record: Record) -> bool:
    """Whether a call goes past Tollbook: some of OpenAI's gpt-4o in August, by another key."""
    return (
        record.model.name == "gpt-4o-2024-08-06"
        and month_of(record.at_ns) == "2026-08"
        and record.number % _BYPASS_EVERY == 0
    )


def is_doubled(record: Record) -> bool:
    """Whether a call is booked twice: an hour of OpenAI's whose log was read by two machines."""
    return (
        record.model.provider == "openai"
        and unix_ns(DOUBLED_FROM) <= record.at_ns < unix_ns(DOUBLED_UNTIL)
        and not is_bypass(record)
    )


def month_of(at_ns: int) -> str:
    """Return the month of a time, UTC."""
    return datetime.fromtimestamp(at_ns // NS, UTC).strftime("%Y-%m")


def day_at_provider(record: Record) -> date:
    """Return the day that the provider counts a call to."""
    shift_s = SHIFT_S if record.model.provider == "azure" else 0
    return datetime.fromtimestamp(record.at_ns // NS + shift_s, UTC).date()


def billed(record: Record, rate: int, tokens: int) -> int:
    """Return what the provider bills for tokens of a call, in pico."""
    if record.model.name == WRONG_CARD_MODEL and month_of(record.at_ns) == WRONG_CARD_MONTH:
        share = WRONG_CARD_FACTOR * rate * tokens
        assert share.denominator == 1, "the rates are multiples of 20"
        return share.numerator
    return rate * tokens
