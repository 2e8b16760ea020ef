"""List prices, compiled to rate cards.

The list is that of the installed ``genai-prices``, else the snapshot that comes with Tollbook
(:mod:`tollbook.prices.pricelist`). Models are matched within one provider only: the same name costs
differently elsewhere.
"""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tollbook.prices.card import (
    ADD_ON_KINDS,
    DailyWindow,
    RateCard,
    Step,
    make_card,
    rates_of,
)
from tollbook.prices.discounts import (
    BATCH_DISCOUNT,
    batch_discount,
    discounted_kinds,
    is_off_peak_day,
)
from tollbook.prices.listed import Dated, From, ListedModel
from tollbook.prices.listrates import COUNTED, KIND_PRICES, rate_in, scaled_step, steps_of
from tollbook.prices.matching import NEVER
from tollbook.prices.names import spellings
from tollbook.prices.pricelist import LIST
from tollbook.prices.rating import no_tier_price
from tollbook.prices.supplement import REVISION, ROWS, rows_for, words_priced
from tollbook.prices.tiers import BATCH, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tollbook.money import Rate
    from tollbook.prices.listed import ListedProvider, Variant
    from tollbook.prices.supplement_rows import Row

LIST_SOURCE = f"genai-prices {LIST.version}"
BEGINNING_NS = -(2**63)
END_NS = 2**63

_NS_PER_S = 1_000_000_000
_DAY_NS = 86_400 * _NS_PER_S
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_ANY_WORD = frozenset(word for row in ROWS for word in row.words)
_LIKENESS = 0.6
"""Of two names, from 0 to 1; what is less is another model."""
_PROVIDERS: dict[str, ListedProvider] = {provider.id: provider for provider in LIST.providers}


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


def maker_of(model: str) -> str | None:
    """Return the provider whose own model a name means, None where none claims it.

    Of several the first in the list that has a price for it is taken.
    """
    plain = model.rpartition("/")[2]
    for provider in _PROVIDERS.values():
        if provider.makes(plain):
            found = _find(provider, plain)
            if found is not None and found.dated:
                return provider.id
    return None


class ListPrices:
    """Cards of all list prices, compiled when first asked for and then kept (bounded).

    Args:
        timelines_max: how many models and tiers to keep.
        is_supplemented: whether prices that the list lacks come from the supplement.
    """

    def __init__(self, *, timelines_max: int = 4096, is_supplemented: bool = True) -> None:
        self._rows = ROWS if is_supplemented else ()
        self._timelines: dict[tuple[str, str, str | None], tuple[_Segment, ...]] = {}
        self._timelines_max = timelines_max

    def model_id(self, list_id: str, model: str) -> str | None:
        """Return the list's own name for a model, None where the list does not have it."""
        provider = _PROVIDERS.get(list_id)
        found = None if provider is None else _find(provider, model)
        if found is not None:
            return found.id
        return model if self._is_supplied(list_id, model) else None

    def lenders(self, list_id: str) -> tuple[str, ...]:
        """Return the providers whose models a provider serves too, at their prices."""
        provider = _PROVIDERS.get(list_id)
        return provider.lenders if provider is not None else ()

    def resolve(self, list_id: str, model: str, at_ns: int, tier: str | None) -> Resolved:
        """Return the card of a model at a time, None where the list has none.

        ``tier`` is as :func:`tollbook.prices.tiers.tier_of` returns it; words that the list does
        not price at that time, or not together, get the standard price, and the card says so.
        """
        provider = _PROVIDERS.get(list_id)
        found = None if provider is None else _find(provider, model)
        if found is None or not found.dated:
            if not self._is_supplied(list_id, model):
                return Resolved(None, BEGINNING_NS, END_NS)
            found = ListedModel(model.lower(), NEVER, (Dated(None, {}),))
        key = (list_id, found.id, tier)
        timeline = self._timelines.get(key)
        if timeline is None:
            if len(self._timelines) >= self._timelines_max:
                self._timelines.clear()
            asked = _Asked(list_id, found, tier, self._rows)
            timeline = self._timelines[key] = tuple(_timeline(asked))
        is_off_peak = bool(self._rows) and is_off_peak_day(list_id, at_ns)
        return _at(timeline, at_ns, is_off_peak=is_off_peak)

    def _is_supplied(self, list_id: str, model: str) -> bool:
        rows = rows_for(self._rows, list_id, model, _ANY_WORD)
        return any(kind not in ADD_ON_KINDS for kind in rows)


def similar_models(list_ids: Sequence[str], model: str, most: int = 3) -> list[tuple[str, str]]:
    """Return models of some providers whose names are like one: id of the provider, and name.

    Args:
        list_ids: the providers.
        model: the name.
        most: how many to return; the nearest first.
    """
    plain = model.lower().rpartition("/")[2]
    names = {
        (found.id.lower().rpartition("/")[2], list_id): found.id
        for list_id in list_ids
        if (provider := _PROVIDERS.get(list_id)) is not None
        for found in provider.models
        if found.dated
    }
    known = sorted({name for name, _ in names})
    # What a name begins with is its family: gpt-4o-mini-acme is nearer to gpt-4o-mini than to
    # gpt-4o-mini-tts.
    families = [name for name in known if plain.startswith((f"{name}-", f"{name}.", f"{name}:"))]
    near = sorted(families, key=len, reverse=True)[:most]
    near += [
        name
        for name in difflib.get_close_matches(plain, known, most, _LIKENESS)
        if name not in near
    ]
    return [(pair[1], names[pair]) for one in near for pair in sorted(names) if pair[0] == one]


def _find(provider: ListedProvider, model: str) -> ListedModel | None:
    for spelling in spellings(provider.id, model):
        found = provider.find(spelling)
        if found is not None:
            return found
    return None


def _at(timeline: tuple[_Segment, ...], at_ns: int, *, is_off_peak: bool) -> Resolved:
    segment = next(part for part in reversed(timeline) if part.from_ns <= at_ns)
    midnight_ns = at_ns - at_ns % _DAY_NS
    if is_off_peak and len(segment.daily) > 1:
        # The part of the day that begins at midnight is off-peak; it lasts until the next.
        return Resolved(
            segment.daily[0][2],
            max(segment.from_ns, midnight_ns),
            min(segment.until_ns, midnight_ns + _DAY_NS),
        )
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
    cautions: tuple[str, ...]
    notes: tuple[tuple[str, str], ...]
    uncounted: tuple[str, ...]
    is_supplied: bool


def _timeline(asked: _Asked) -> Iterator[_Segment]:
    """Cut time where a price may change, join what did not change, make the cards."""
    dates, times = _edges(asked)
    before = min([*dates, _EARLIEST]) - timedelta(days=1)
    changes = _first_of_equals(
        [(_ns(start), _day(asked, start, times)) for start in (before, *dates)]
    )
    starts = [None, *(start_ns for start_ns, _ in changes[1:])]
    ends = [*starts[1:], None]
    for from_ns, until_ns, (_, day) in zip(starts, ends, changes, strict=True):
        cards = []
        for begin, end, prices in day:
            card = make_card(
                provider=asked.list_id,
                model=asked.model.id,
                source=f"{LIST_SOURCE} and supplement {REVISION}"
                if prices.is_supplied
                else LIST_SOURCE,
                rates=rates_of(dict(prices.by_kind)),
                steps=prices.steps,
                effective_from_ns=from_ns,
                effective_until_ns=until_ns,
                daily_window=DailyWindow(begin, end) if len(day) > 1 else None,
                service_tier=asked.tier,
                is_tier_priced=prices.is_tier_priced,
                cautions=prices.cautions,
                notes=dict(prices.notes),
                uncounted=prices.uncounted,
            )
            cards.append((begin, end, card))
        yield _Segment(
            BEGINNING_NS if from_ns is None else from_ns,
            END_NS if until_ns is None else until_ns,
            tuple(cards),
        )


class _Asked(NamedTuple):
    """Which model's prices, for which words of the tier."""

    list_id: str
    model: ListedModel
    tier: str | None
    rows: Sequence[Row]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the tier."""
        return words_of(self.tier)

    def fits(self, variant: Variant) -> bool:
        """Whether a variant is for words that are all there."""
        return variant.words.issubset(self.words)

    def active(self, at: datetime) -> list[Variant]:
        """Return the variants in force that fit and have a price, the one for most words first."""
        fitting = [
            variant
            for variant in self.model.variants
            if self.fits(variant)
            and (variant.when is None or variant.when.holds(at))
            and variant.prices
        ]
        return sorted(fitting, key=lambda variant: -len(variant.words))


def _day(
    asked: _Asked, midnight: datetime, times: Sequence[int]
) -> tuple[tuple[int, int, _Prices], ...]:
    """Return the parts of a day: begin and end (nanoseconds of the day) and the prices."""
    parts = _first_of_equals(
        [
            (at_ns, _prices(asked, midnight + timedelta(microseconds=at_ns // 1000)))
            for at_ns in times
        ]
    )
    ends = [*(begin for begin, _ in parts[1:]), _DAY_NS]
    return tuple((begin, end, prices) for (begin, prices), end in zip(parts, ends, strict=True))


def _first_of_equals(parts: Sequence[tuple[int, _T]]) -> list[tuple[int, _T]]:
    """Leave out every part whose value is that of the part before it."""
    return [part for at, part in enumerate(parts) if at == 0 or parts[at - 1][1] != part[1]]


def _edges(asked: _Asked) -> tuple[list[datetime], list[int]]:
    """Return the days (UTC midnights) and the times of day (nanoseconds) of possible changes."""
    model = asked.model
    conditions = [one.when for one in model.dated]
    conditions += [one.when for one in model.variants if asked.fits(one)]
    dates, times = set(), {0}
    for when in conditions:
        if isinstance(when, From):
            dates.add(datetime.combine(when.day, time(0), tzinfo=UTC))
        elif when is not None:
            times |= {_time_of_day_ns(when.start), _time_of_day_ns(when.end)}
    return sorted(dates), sorted(times)


def _prices(asked: _Asked, at: datetime) -> _Prices:
    standard = asked.model.prices_at(at)
    prices, cautions = dict(standard), []
    taken: dict[str, set[str]] = {}
    has_price: set[str] = set()
    for variant in asked.active(at):
        words = set(variant.words)
        has_price |= words
        for key, price in variant.prices.items():
            if key not in taken:
                taken[key], prices[key] = words, price
            elif words - taken[key]:
                both = "+".join(sorted(words | taken[key]))
                cautions.append(f"no price for {both} together; that of one of them is used")
    extra = rows_for(asked.rows, asked.list_id, asked.model.id, asked.words)
    own = {
        kind: next(key for key in keys if key in prices)
        for kind, keys in KIND_PRICES.items()
        if not prices.keys().isdisjoint(keys)
    }
    rows = {
        kind: row for kind, row in extra.items() if kind not in own or row.words or row.goes_first
    }
    has_price = has_price.union(*(words_priced(row, asked.words) for row in rows.values()))
    missing = [word for word in asked.words if word not in has_price]
    scale = None
    if BATCH in missing and asked.rows:
        scale = batch_discount(asked.list_id, asked.model.id)
    if scale is not None:
        missing.remove(BATCH)
        cautions.append(BATCH_DISCOUNT)
    if missing and len(missing) < len(asked.words):
        cautions.append(no_tier_price("+".join(missing)))
    fixed = {kind: row.rate for kind, row in rows.items()}
    rates = {kind: rate_in(key, prices[key], 0) for kind, key in own.items()} | fixed
    steps = steps_of(own, prices, standard, fixed)
    if scale is not None:
        cheaper = discounted_kinds(asked.list_id)
        rates = {k: one.times(scale) if k in cheaper else one for k, one in rates.items()}
        steps = tuple(scaled_step(step, scale, cheaper) for step in steps)
    return _Prices(
        by_kind=tuple(rates.items()),
        steps=steps,
        is_tier_priced=not missing or len(missing) < len(asked.words),
        cautions=tuple(dict.fromkeys(cautions)),
        notes=tuple((kind, row.caution) for kind, row in rows.items() if row.caution is not None),
        uncounted=tuple(sorted(prices.keys() - COUNTED)),
        is_supplied=bool(rows),
    )


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _time_of_day_ns(value: time) -> int:
    return _ns(datetime.combine(_EPOCH, value, tzinfo=UTC)) % _DAY_NS
