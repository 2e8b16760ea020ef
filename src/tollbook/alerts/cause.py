"""What is behind a signal: the tenant, feature and model that the excess comes from.

Several rules see the same trouble from several sides. Each signal is taken apart, and those whose
excess comes from the same place make one incident.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from tollbook.alerts.baseline import hour_of
from tollbook.alerts.rule import Kind
from tollbook.alerts.sums import Sums
from tollbook.money import usd_text
from tollbook.reports.params import parse_filter
from tollbook.reports.query import canonical_filters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tollbook.alerts.signal import Signal
    from tollbook.alerts.source import Groups, Source

LEVELS: Final = ("tenant", "feature", "model")
DOMINANT_PERCENT: Final = 60
"""Who has so much of the excess is the cause of it."""
_TOP: Final = 3
_HUNDRED: Final = 100
_BASE: Final = timedelta(days=7)
_SPEND: Final = frozenset(
    [Kind.BURN_RATE, Kind.DEVIATION, Kind.NEW_SPENDER, Kind.REQUEST_COST, Kind.RUNAWAY_RUN,
     Kind.RETRY_STORM, Kind.CACHE_COLLAPSE]
)  # fmt: skip
"""Different sides of money that goes somewhere it usually does not."""
_UNTOLD: Final = frozenset(
    [Kind.CAP_NEAR, Kind.MARGIN_BELOW, Kind.FORECAST_OVER, Kind.UNPRICED, Kind.UNATTRIBUTED,
     Kind.PRICE_CHANGE]
)  # fmt: skip
"""Their entity says it all."""


class Driver(Struct, frozen=True, kw_only=True):
    """A part of the excess. ``depth`` 0 is a tenant, 1 a feature of it, 2 a model of that."""

    depth: int
    path: tuple[str | None, ...]
    excess_usd: str
    share_percent: int
    """Of all that rose."""


class Cause(Struct, frozen=True, kw_only=True):
    """Where a signal comes from."""

    key: str
    """Signals with the same key are one incident."""
    tenant: str | None = None
    """The only tenant it is about; None: several, or nobody knows."""
    drivers: tuple[Driver, ...] = ()


class Causes:
    """Finds causes, and remembers them while a signal goes on within an hour.

    Args:
        source: the ledger.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tenants: dict[str, int] = {}
        """The hour in which a tenant was last the cause of something."""
        self._known: dict[tuple[str, Any], tuple[int, Cause]] = {}

    def of_all(self, signals: Iterable[Signal]) -> list[tuple[Signal, Cause]]:
        """Return the signals with their causes.

        Errors come first: where the calls that are tried again fail at a provider that has a storm
        of errors, that is their cause.
        """
        ordered = sorted(signals, key=lambda one: one.kind is not Kind.ERROR_STORM)
        found: list[tuple[Signal, Cause]] = []
        storms: dict[str | None, Cause] = {}
        for signal in ordered:
            cause = self._of(signal)
            if signal.kind is Kind.ERROR_STORM and signal.each == ("provider",):
                storms[signal.entity[0]] = cause
            elif signal.kind is Kind.RETRY_STORM and storms:
                provider = self._provider(signal)
                cause = storms.get(provider, cause) if provider else cause
            found.append((signal, cause))
        return found

    def _of(self, signal: Signal) -> Cause:
        key, hour = (signal.rule, signal.entity), hour_of(signal.until)
        known = self._known.get(key)
        if known is not None and hour - known[0] <= 1:
            if hour != known[0]:
                self._known[key] = (hour, known[1])
            return known[1]
        cause = self._found(signal)
        self._known[key] = (hour, cause)
        if len(self._known) > _KNOWN_MAX:
            self._known.clear()
        return cause

    def _found(self, signal: Signal) -> Cause:
        own = dict(zip(signal.each, signal.entity, strict=True))
        tenant = own.get("tenant") or signal.tenant
        if signal.kind in _UNTOLD:
            return Cause(key=_key(signal.kind.value, own), tenant=tenant)
        tree, calls = self._leaves(signal)
        drivers = _drivers(tree)
        if tenant is None and "tenant" not in own:
            tenant = _dominant(drivers)
            if tenant is None and signal.kind is not Kind.ERROR_STORM:
                tenant = self._lately(drivers, hour_of(signal.until))
        if signal.kind is Kind.ERROR_STORM and _is_of_all(tenant, calls):
            return Cause(key=_key("errors", own), drivers=drivers)
        if tenant is not None:
            own = {"tenant": tenant}
            self._tenants[tenant] = hour_of(signal.until)
        return Cause(key=_key("spend", own), tenant=tenant, drivers=drivers)

    def _lately(self, drivers: tuple[Driver, ...], hour: int) -> str | None:
        """Return the largest tenant, if it is not quite dominant but was a cause of late."""
        first = next((one for one in drivers if one.depth == 0), None)
        if first is None or first.share_percent < _PARTLY_PERCENT or first.path[0] is None:
            return None
        at = self._tenants.get(first.path[0])
        return first.path[0] if at is not None and hour - at <= _LATELY_H else None

    def _leaves(
        self, signal: Signal
    ) -> tuple[dict[tuple[str | None, ...], int], dict[str | None, int]]:
        """Return by how much each tenant, feature and model rose, in pico or calls.

        And the calls of each tenant before.

        Before is the mean of the seven days before the window: an estimate, which moves shares a
        little by the hour of the day, and the tenants among themselves hardly.
        """
        value = _value(signal.kind)
        where = canonical_filters(tuple(parse_filter(text) for text in signal.where))
        now = self._source.window(LEVELS, where, signal.since, signal.until)
        span = max(_BASE, signal.until - signal.since)
        before: Groups = {}
        if signal.kind is not Kind.RUNAWAY_RUN:  # a run has no past
            before = self._source.window(LEVELS, where, signal.since - span, signal.since)
        length, whole = _seconds(signal.since, signal.until), int(span.total_seconds())
        calls: dict[str | None, int] = {}
        for leaf, one in before.items():
            calls[leaf[0]] = calls.get(leaf[0], 0) + one.calls
        return {
            leaf: value(now.get(leaf, _NONE)) - value(before.get(leaf, _NONE)) * length // whole
            for leaf in {*now, *before}
        }, calls

    def _provider(self, signal: Signal) -> str | None:
        where = canonical_filters(tuple(parse_filter(text) for text in signal.where))
        groups = self._source.window(("provider",), where, signal.since, signal.until)
        whole = sum(one.retries for one in groups.values())
        for (provider,), one in groups.items():
            if one.retries * _HUNDRED >= DOMINANT_PERCENT * max(1, whole):
                return provider
        return None


_NONE: Final = Sums()
_PARTLY_PERCENT: Final = 30
_LATELY_H: Final = 24
_KNOWN_MAX: Final = 5_000


def _seconds(since: datetime, until: datetime) -> int:
    return int((until - since).total_seconds())


def _value(kind: Kind) -> Callable[[Sums], int]:
    # Errors cost next to nothing: how many there are says where they come from.
    if kind is Kind.ERROR_STORM:
        return lambda one: one.errors
    return lambda one: one.cost


def _key(family: str, own: dict[str, str | None]) -> str:
    named = ",".join(f"{name}={value or ''}" for name, value in own.items())
    return f"{family}|{named or 'all'}"


def _drivers(leaves: dict[tuple[str | None, ...], int]) -> tuple[Driver, ...]:
    """Return the largest tenants, of the first its largest features, and of that its models."""
    tenants: dict[str | None, int] = {}
    for leaf, one in leaves.items():
        tenants[leaf[0]] = tenants.get(leaf[0], 0) + one
    # Of tenants, not of models: what moves from one model to another has not risen.
    rose = sum(one for one in tenants.values() if one > 0)
    found: list[Driver] = []
    path: tuple[str | None, ...] = ()
    for depth in range(len(LEVELS)):
        parts: dict[str | None, int] = {}
        for leaf, one in leaves.items():
            if leaf[:depth] == path:
                parts[leaf[depth]] = parts.get(leaf[depth], 0) + one
        some = sorted(parts.items(), key=lambda one: (-one[1], str(one[0])))
        top = [
            Driver(
                depth=depth, path=(*path, name), excess_usd=usd_text(one),
                share_percent=min(_HUNDRED, one * _HUNDRED // max(1, rose)),
            )
            for name, one in some[:_TOP] if one > 0
        ]  # fmt: skip
        if not top:
            break
        # Each level stands below the first of the one above.
        found[depth:depth] = top
        path = top[0].path
    return tuple(found)


def _dominant(drivers: tuple[Driver, ...]) -> str | None:
    first = next((one for one in drivers if one.depth == 0), None)
    if first is None or first.share_percent < DOMINANT_PERCENT:
        return None
    return first.path[0]


def _is_of_all(tenant: str | None, calls: dict[str | None, int]) -> bool:
    """Whether errors are the provider's: nobody has most of them, or whoever makes most calls."""
    if tenant is None:
        return True
    return 2 * calls.get(tenant, 0) >= sum(calls.values())
