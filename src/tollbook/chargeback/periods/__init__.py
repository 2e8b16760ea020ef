"""Billing periods: open, reconciled, allocated, closed; what belongs to each, for ever."""

from tollbook.chargeback.periods.cutoffs import (
    Close,
    as_billed,
    closes,
    entry_window,
    the_period,
    timezone_of_periods,
)
from tollbook.chargeback.periods.events import PeriodState, period_history, period_state
from tollbook.chargeback.periods.period import Period

__all__ = [
    "Close",
    "Period",
    "PeriodState",
    "as_billed",
    "closes",
    "entry_window",
    "period_history",
    "period_state",
    "the_period",
    "timezone_of_periods",
]
