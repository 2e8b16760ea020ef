"""What is watched: a rule, and the built-in ones that work without any configuration."""

from __future__ import annotations

import re
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from tollbook.errors import TollbookError
from tollbook.money import NotMoneyError, pico_from_usd
from tollbook.reports import dimensions
from tollbook.reports.errors import QueryError
from tollbook.reports.params import parse_filter
from tollbook.reports.query import Filter, canonical_filters
from tollbook.reports.zone import zone_of

EACH_MAX: Final = 3
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Kind(StrEnum):
    """What a rule looks for."""

    BURN_RATE = "burn_rate"  # the last hour against the same hours before
    DEVIATION = "deviation"  # the last 7 days against the three weeks before
    NEW_SPENDER = "new_spender"
    REQUEST_COST = "request_cost"  # p99 of what one request costs
    PRICE_CHANGE = "price_change"  # dollars per token of a model
    RUNAWAY_RUN = "runaway_run"  # cost, steps or repeated steps of one agent run
    ERROR_STORM = "error_storm"
    RETRY_STORM = "retry_storm"
    CACHE_COLLAPSE = "cache_collapse"
    UNATTRIBUTED = "unattributed"
    UNPRICED = "unpriced"
    CAP_NEAR = "cap_near"  # keys and budgets near their limit
    MARGIN_BELOW = "margin_below"
    FORECAST_OVER = "forecast_over"


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


SEVERITIES: Final = tuple(Severity)
"""From the least to the most urgent."""
NoData = Literal["normal", "keep", "alert"]


class RuleError(TollbookError):
    """A rule that cannot be kept."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"alert rule {name[:64]!r}: {problem}")


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule. What a rule of its kind does not use is ignored; the page says what is used."""

    name: str
    kind: Kind
    each: tuple[str, ...] = ()
    """A series for each value of these dimensions; empty: one for all that matches."""
    where: tuple[str, ...] = ()
    """Filters, as ``--where`` has them."""
    severity: Severity = Severity.WARNING
    is_paused: bool = False
    min_usd: str = "1"
    """Least excess in dollars; less is noise."""
    min_calls: Annotated[int, Meta(ge=0)] = 10
    """Least calls in the window."""
    window_h: Annotated[int, Meta(ge=1, le=744)] = 1
    """Hours that are looked at."""
    baseline_days: Annotated[int, Meta(ge=1, le=92)] = 30
    """Days before, that are compared with."""
    ratio_percent: Annotated[int, Meta(ge=100, le=100_000)] = 200
    """Least of what is expected that fires."""
    deviations: Annotated[int, Meta(ge=0, le=1000)] = 6
    """Least distance from the median, in robust standard deviations (1.4826 MAD)."""
    limit: str | None = None
    """The kind's own threshold: percent, or dollars of one run, or of a month."""
    limit_steps: Annotated[int, Meta(ge=1)] = 200
    """Calls of one run."""
    limit_repeats: Annotated[int, Meta(ge=1)] = 100
    """Calls of one named step in one run: recursion."""
    resolve_after_h: Annotated[float, Meta(gt=0, le=744)] = 2.0
    """An incident is resolved once it has been normal for so long."""
    no_data: NoData = "normal"
    """A series without any call: it is normal, its incident stays, or that is an incident."""
    channels: tuple[str, ...] = ()
    """Who is told, whatever they ask for; empty: channels by their severity and rules."""
    tz: str = "UTC"
    """Zone of hours and weekdays."""

    @property
    def min_pico(self) -> int:
        """Least excess."""
        return pico_from_usd(self.min_usd)

    @property
    def filters(self) -> tuple[Filter, ...]:
        """What it is about."""
        return canonical_filters(tuple(parse_filter(text) for text in self.where))

    @property
    def percent(self) -> int:
        """The limit as whole percent."""
        return int(self.limit or "0")


_DEFAULTS: Final[dict[Kind, dict[str, Any]]] = {
    Kind.BURN_RATE: {"each": ("tenant",), "severity": "critical", "min_usd": "2", "min_calls": 20},
    Kind.DEVIATION: {
        "each": ("tenant",), "window_h": 168, "min_usd": "20", "min_calls": 100,
        "ratio_percent": 130, "baseline_days": 21, "resolve_after_h": 24.0,
    },
    Kind.NEW_SPENDER: {
        "each": ("tenant",), "severity": "info", "window_h": 24, "min_usd": "10",
        "resolve_after_h": 24.0,
    },
    Kind.REQUEST_COST: {
        "each": ("feature",), "window_h": 24, "baseline_days": 7, "min_calls": 100,
        "min_usd": "5", "resolve_after_h": 6.0,
    },
    Kind.PRICE_CHANGE: {
        "each": ("provider", "model"), "window_h": 6, "baseline_days": 7, "limit": "5",
        "min_usd": "1", "min_calls": 50, "resolve_after_h": 6.0,
    },
    Kind.RUNAWAY_RUN: {
        "each": ("agent_run",), "severity": "critical", "window_h": 6, "limit": "25",
        "min_usd": "1", "min_calls": 10,
    },
    Kind.ERROR_STORM: {
        "each": ("provider",), "severity": "critical", "limit": "20", "min_calls": 50,
        "min_usd": "0", "baseline_days": 7, "ratio_percent": 300, "resolve_after_h": 1.0,
    },
    Kind.RETRY_STORM: {
        "each": ("tenant",), "limit": "30", "min_calls": 50, "min_usd": "1", "baseline_days": 7,
        "ratio_percent": 300, "resolve_after_h": 1.0,
    },
    Kind.CACHE_COLLAPSE: {
        "each": ("feature",), "window_h": 6, "baseline_days": 7, "limit": "50", "min_calls": 100,
        "min_usd": "1", "resolve_after_h": 6.0,
    },
    Kind.UNATTRIBUTED: {
        "severity": "info", "window_h": 24, "limit": "5", "min_calls": 100, "min_usd": "5",
        "resolve_after_h": 12.0,
    },
    Kind.UNPRICED: {
        "each": ("provider", "model"), "window_h": 24, "min_calls": 1, "min_usd": "0",
        "resolve_after_h": 12.0,
    },
    Kind.CAP_NEAR: {"limit": "80", "min_usd": "0", "min_calls": 0, "resolve_after_h": 1.0},
    Kind.MARGIN_BELOW: {"each": ("tenant",), "min_usd": "0", "min_calls": 0,
                        "resolve_after_h": 12.0},
    Kind.FORECAST_OVER: {"min_usd": "10", "min_calls": 0, "resolve_after_h": 24.0},
}  # fmt: skip
DEFAULT_RULES: Final = MappingProxyType(
    {
        kind.value.replace("_", "-"): msgspec.convert(
            {"name": kind.value.replace("_", "-"), "kind": kind.value, **changes},
            Rule, strict=False,
        )
        for kind, changes in _DEFAULTS.items()
    }
)  # fmt: skip
"""By name. A document of the same name takes the place of one."""


def read_rule(name: str, body: dict[str, Any]) -> Rule:
    """Return the rule of a document: what it does not say is as for the built-in of its kind.

    Raises:
        RuleError: naming the rule and what is wrong.
    """
    if not NAME.fullmatch(name):
        raise RuleError(name, "expected a name of letters, digits, . _ and -")
    known = [kind.value for kind in Kind]
    if body.get("kind") not in known:
        raise RuleError(name, f"kind is not one of {', '.join(known)}")
    base = _DEFAULTS[Kind(body["kind"])]
    try:
        rule = msgspec.convert({**base, **body, "name": name}, Rule, strict=False)
    except msgspec.ValidationError as error:
        raise RuleError(name, str(error)) from error
    _check(rule)
    return rule


def _check(rule: Rule) -> None:
    try:
        zone_of(rule.tz)
        _ = rule.filters
        if rule.min_pico < 0:
            raise RuleError(rule.name, "min_usd: expected zero or more")
        if rule.limit is not None and pico_from_usd(rule.limit) < 0:
            raise RuleError(rule.name, "limit: expected zero or more")
    except (QueryError, NotMoneyError) as error:
        raise RuleError(rule.name, error.message) from error
    is_dollars = rule.kind in (Kind.RUNAWAY_RUN, Kind.FORECAST_OVER)
    if rule.limit is not None and not is_dollars and not rule.limit.isdecimal():
        raise RuleError(rule.name, f"limit: {rule.limit!r} is not a whole number of percent")
    if len(rule.each) > EACH_MAX or len(set(rule.each)) != len(rule.each):
        raise RuleError(rule.name, f"each: expected at most {EACH_MAX} dimensions, each once")
    for one in rule.each:
        if not dimensions.is_filter(one):
            raise RuleError(rule.name, f"each: there is no dimension {one[:64]!r}")
    if rule.kind is Kind.RUNAWAY_RUN and rule.each != ("agent_run",):
        raise RuleError(rule.name, "each: a runaway run is for each agent_run")
