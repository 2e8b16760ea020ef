"""The hours around an incident, with what was expected of each: for its chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tollbook.alerts.baseline import DAY_H, hour_of, moment_of
from tollbook.alerts.kinds_spend import expected_of
from tollbook.alerts.source import LedgerSource
from tollbook.alerts.sums import Sums
from tollbook.money import usd_text
from tollbook.reports.params import format_filter, parse_filter
from tollbook.reports.query import Filter, canonical_filters
from tollbook.reports.zone import hour_label, zone_of

if TYPE_CHECKING:
    from datetime import datetime

    from tollbook.alerts.incident import Incident
    from tollbook.alerts.rule import Rule
    from tollbook.reports.reader import Reader

BEFORE_H: Final = 72
AFTER_H: Final = 12
SHOWN_MAX_H: Final = 14 * DAY_H
_BASELINE_DAYS: Final = 30


def series_rows(reader: Reader, rule: Rule, one: Incident, now: datetime) -> list[dict[str, Any]]:
    """Return dollars by hour of an incident's series, with the baseline and its threshold.

    From three days before it was first seen to half a day after it was last seen, at most two
    weeks. Each hour is compared with those before it, as the rule of burn rates does.

    Raises:
        QueryTimeoutError: it took too long.
    """
    texts = [text for text in one.lead["where"] if not text.startswith("budget=")]
    if one.tenant is not None and "tenant" not in one.lead.get("entity", {}):
        # A run or a feature of one tenant: what is unusual is seen on all of the tenant's spend.
        texts = [format_filter(Filter("tenant", (one.tenant,)))]
    where = canonical_filters(tuple(parse_filter(text) for text in texts))
    last = min(hour_of(one.last_seen) + 1 + AFTER_H, hour_of(now))
    first = max(hour_of(one.first_seen) - BEFORE_H, last - SHOWN_MAX_H)
    source = LedgerSource(reader)
    own = source.hours((), where, first - _BASELINE_DAYS * DAY_H, last).get((), {})
    hourly = _hourly(rule)
    zone = zone_of(rule.tz)
    rows = []
    for hour in range(first, last):
        usual = expected_of(hourly, own, hour, hour)
        cost = own.get(hour, Sums()).cost
        rows.append({
            "hour": hour_label(zone, moment_of(hour)), "cost_usd": usd_text(cost),
            "expected_usd": None if usual is None else usd_text(usual.expected),
            "threshold_usd": None if usual is None else usd_text(usual.threshold),
            "calls": own.get(hour, Sums()).calls,
        })  # fmt: skip
    return rows


def _hourly(rule: Rule) -> Rule:
    is_burn = rule.kind.value == "burn_rate"
    ratio, deviations = (rule.ratio_percent, rule.deviations) if is_burn else (200, 6)
    return replace(rule, window_h=1, baseline_days=_BASELINE_DAYS, ratio_percent=ratio,
                   deviations=deviations)  # fmt: skip
