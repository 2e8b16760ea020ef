"""List prices: the snapshot inside the ``genai-prices`` package, compiled to rate cards.

Only the data that came with the installed package is read; nothing is fetched or updated. Models
are matched within one provider only: the same name costs differently elsewhere.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from genai_prices import __version__ as genai_prices_version
from genai_prices.data import providers as _snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import StartDateConstraint, TieredPrices, TimeOfDateConstraint

from tollbook.money import Rate
from tollbook.prices.card import DailyWindow, RateCard, Step, make_card, rates_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from genai_prices.types import ModelInfo, Provider

LIST_SOURCE = f"genai-prices {genai_prices_version}"
BEGINNING_NS = -(2**63)
END_NS = 2**63

_NS_PER_S = 1_000_000_000
_DAY_NS = 86_400 * _NS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_STANDARD_TIERS = frozenset({"", "standard", "default", "auto", "on_demand"})
_TIER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
_TIER_KEYS = ("service_tier", "processing", "speed")
"""A provider reports one word; the list files it under one of these."""
_KIND_PRICES = {
    "uncached_input_tokens": ("input_mtok",),
    "cache_read_tokens": ("cache_read_mtok",),
    "cache_write_5m_tokens": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h_tokens": ("cache_write_1h_mtok",),
    "input_audio_tokens": ("input_audio_mtok",),
    "cache_read_audio_tokens": ("cache_audio_read_mtok",),
    "input_image_tokens": ("input_image_mtok",),
    "cache_read_image_tokens": ("cache_image_read_mtok",),
    "input_video_tokens": ("input_video_mtok",),
    "visible_output_tokens": ("output_mtok",),
    "reasoning_tokens": ("output_reasoning_mtok",),
    "output_audio_tokens": ("output_audio_mtok",),
    "output_image_tokens": ("output_image_mtok",),
    "citation_tokens": ("output_citation_mtok",),
    "web_search_requests": ("web_searches_kcount",),
    "file_search_requests": ("storage_searches_kcount",),
    "code_sessions": ("code_executions_kcount",),
    "search_units": ("rerank_searches_kcount",),
    "audio_ms": ("audio_hours", "input_audio_hours"),
    "characters": ("input_mchars",),
    "requests": ("requests_kcount",),
}
_COUNTED = frozenset(key for keys in _KIND_PRICES.values() for key in keys)
_SECONDS = frozenset({"audio_seconds", "input_audio_seconds", "output_audio_seconds"})
_UNITS_PER = {
    # The list counts audio in seconds, the ledger in milliseconds.
    raw.get("price_key", usage_key): int(raw["per"]) * (1000 if usage_key in _SECONDS else 1)
    for usage_key, raw in unit_data.items()
}
_PROVIDERS: dict[str, Provider] = {provider.id: provider for provider in _snapshot}


_T = TypeVar("_T")


class Resolved(NamedTuple):
    """A card and the stretch of time in which the same question has the same answer."""

    card: RateCard | None
    from_ns: int
    until_ns: int


class _Segment(NamedTuple):
    from_ns: int
    until_ns: int
    daily: tuple[tuple[int, int, RateCard], ...]


def list_provider_ids() -> frozenset[str]:
    """Return the providers that have list prices."""
    return frozenset(_PROVIDERS)


def standard_tier(service_tier: str | None) -> str | None:
    """Return the tier in lower case, None for every name of the standard one."""
    if service_tier is None:
        return None
    tier = service_tier.strip().lower()
    if tier in _STANDARD_TIERS:
        return None
    # A tier becomes part of a stored card: what is no plain word is not kept.
    return tier if _TIER.fullmatch(tier) else "unrecognized"


class ListPrices:
    """Cards of all list prices, compiled when first asked for and then kept (bounded)."""

    def __init__(self, *, timelines_max: int = 4096) -> None:
        self._timelines: dict[tuple[str, str, str | None], tuple[_Segment, ...]] = {}
        self._timelines_max = timelines_max

    def model_id(self, list_id: str, model: str) -> str | None:
        """Return the list's own name for a model, None where the list does not have it."""
        provider = _PROVIDERS.get(list_id)
        found = provider.find_model(model) if provider is not None else None
        return None if found is None else found.id

    def resolve(self, list_id: str, model: str, at_ns: int, service_tier: str | None) -> Resolved:
        """Return the card of a model at a time, None where the list has none.

        ``service_tier`` is as :func:`standard_tier` returns it; a tier that the list does not
        price at that time gets the standard price, and its card says so.
        """
        provider = _PROVIDERS.get(list_id)
        # Without all_providers, so that no other provider's price is taken.
        found = provider.find_model(model) if provider is not None else None
        if found is None or not found.prices:
            return Resolved(None, BEGINNING_NS, END_NS)
        key = (list_id, found.id, service_tier)
        timeline = self._timelines.get(key)
        if timeline is None:
            if len(self._timelines) >= self._timelines_max:
                self._timelines.clear()
            timeline = self._timelines[key] = tuple(_timeline(list_id, found, service_tier))
        return _at(timeline, at_ns)


def _at(timeline: tuple[_Segment, ...], at_ns: int) -> Resolved:
    segment = next(part for part in reversed(timeline) if part.from_ns <= at_ns)
    midnight_ns = at_ns - at_ns % _DAY_NS
    time_of_day_ns = at_ns - midnight_ns
    from_ns, until_ns, card = next(
        part for part in reversed(segment.daily) if part[0] <= time_of_day_ns
    )
    if len(segment.daily) == 1:
        return Resolved(card, segment.from_ns, segment.until_ns)
    return Resolved(
        card,
        max(segment.from_ns, midnight_ns + from_ns),
        min(segment.until_ns, midnight_ns + until_ns),
    )


class _Prices(NamedTuple):
    """What the list says at one moment; equal where nothing changed."""

    by_kind: tuple[tuple[str, Rate], ...]
    steps: tuple[Step, ...]
    is_tier_priced: bool
    uncounted: tuple[str, ...]


def _timeline(list_id: str, model: ModelInfo, tier: str | None) -> Iterator[_Segment]:
    """Cut time where a price may change, join what did not change, make the cards."""
    context = dict.fromkeys(_TIER_KEYS, tier) if tier else {}
    dates, times = _edges(model, context)
    before = min([*dates, _EARLIEST]) - timedelta(days=1)
    changes = _first_of_equals(
        [(_ns(start), _day(model, start, times, context)) for start in (before, *dates)]
    )
    starts = [None, *(start_ns for start_ns, _ in changes[1:])]
    ends = [*starts[1:], None]
    for from_ns, until_ns, (_, day) in zip(starts, ends, changes, strict=True):
        cards = []
        for begin, end, prices in day:
            card = make_card(
                provider=list_id,
                model=model.id,
                source=LIST_SOURCE,
                rates=rates_of(dict(prices.by_kind)),
                steps=prices.steps,
                effective_from_ns=from_ns,
                effective_until_ns=until_ns,
                daily_window=DailyWindow(begin, end) if len(day) > 1 else None,
                service_tier=tier,
                is_tier_priced=prices.is_tier_priced,
                uncounted=prices.uncounted,
            )
            cards.append((begin, end, card))
        yield _Segment(
            BEGINNING_NS if from_ns is None else from_ns,
            END_NS if until_ns is None else until_ns,
            tuple(cards),
        )


def _day(
    model: ModelInfo, midnight: datetime, times: Sequence[int], context: Mapping[str, str]
) -> tuple[tuple[int, int, _Prices], ...]:
    """Return the parts of a day: begin and end (nanoseconds of the day) and the prices."""
    parts = _first_of_equals(
        [
            (at_ns, _prices(model, midnight + timedelta(microseconds=at_ns // 1000), context))
            for at_ns in times
        ]
    )
    ends = [*(begin for begin, _ in parts[1:]), _DAY_NS]
    return tuple((begin, end, prices) for (begin, prices), end in zip(parts, ends, strict=True))


def _first_of_equals(parts: Sequence[tuple[int, _T]]) -> list[tuple[int, _T]]:
    """Leave out every part whose value is that of the part before it."""
    return [part for at, part in enumerate(parts) if at == 0 or parts[at - 1][1] != part[1]]


def _edges(model: ModelInfo, context: Mapping[str, str]) -> tuple[list[datetime], list[int]]:
    """Return the days (UTC midnights) and the times of day (nanoseconds) of possible changes."""
    conditional = model.prices if isinstance(model.prices, list) else []
    constraints = [price.constraint for price in conditional]
    constraints += [
        variant.constraint
        for variant in model.price_variants or ()
        if all(context.get(key) == value for key, value in variant.when.items())
    ]
    dates, times = set(), {0}
    for constraint in constraints:
        if isinstance(constraint, StartDateConstraint):
            dates.add(datetime.combine(constraint.start_date, time(0), tzinfo=UTC))
        elif isinstance(constraint, TimeOfDateConstraint):
            times |= {_time_of_day_ns(constraint.start_time), _time_of_day_ns(constraint.end_time)}
    return sorted(dates), sorted(times)


def _prices(model: ModelInfo, at: datetime, context: Mapping[str, str]) -> _Prices:
    is_tier_priced = not context or any(
        all(context.get(key) == value for key, value in variant.when.items())
        and (variant.constraint is None or variant.constraint.active(at))
        and any(price is not None for price in vars(variant.prices).values())
        for variant in model.price_variants or ()
    )
    prices = {
        key: price
        for key, price in vars(model.get_prices(at, dict(context))).items()
        if price is not None
    }
    own = {
        kind: next(key for key in keys if key in prices)
        for kind, keys in _KIND_PRICES.items()
        if not prices.keys().isdisjoint(keys)
    }
    thresholds = sorted({
        tier.start for key in own.values() for tier in getattr(prices[key], "tiers", ())
    })  # fmt: skip
    return _Prices(
        by_kind=tuple((kind, _rate(key, prices[key], 0)) for kind, key in own.items()),
        steps=tuple(
            Step(start, rates_of({k: _rate(key, prices[key], start + 1) for k, key in own.items()}))
            for start in thresholds
        ),
        is_tier_priced=is_tier_priced,
        uncounted=tuple(sorted(prices.keys() - _COUNTED)),
    )


def _rate(key: str, price: Decimal | TieredPrices, input_tokens: int) -> Rate:
    """Return the rate for so much input; a tier applies above its start (strictly)."""
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
        return Rate.usd_per(reached[-1] if reached else price.base, _UNITS_PER[key])
    return Rate.usd_per(price, _UNITS_PER[key])


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _time_of_day_ns(value: time) -> int:
    aware = datetime.combine(_EPOCH, value, tzinfo=value.tzinfo or UTC)
    return _ns(aware) % _DAY_NS
