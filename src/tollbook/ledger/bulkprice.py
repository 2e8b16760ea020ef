"""Measure and price many calls at once, as Arrow columns.

What :func:`tollbook.ledger.charge.price` says of a call, apart from the amounts, depends only on
its card, the step of the card and which kinds were used. So calls are grouped by these three, the
words are found once a group, and the amounts are products of integer arrays. Whatever is not of
this form (no card, no usage, fractions of a pico, amounts beyond 64 bits) is priced call by call
with the function that re-rating and verification use.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from tollbook.call import Metering, Status
from tollbook.dialects.base import Measured
from tollbook.ledger.charge import NO_PROVIDER, measure, outcome, price, tier_text
from tollbook.ledger.columns import (
    amounts,
    charge_columns,
    component_columns,
    kind_columns,
    quantity_columns,
    said,
    words_array,
    words_text,
)
from tollbook.ledger.exact import money_from_int64
from tollbook.ledger.layersplit_bulk import LayerTable
from tollbook.ledger.schema import CostSource, Kind, PriceState
from tollbook.prices.rating import step_edges, unit_prices
from tollbook.prices.tiers import tier_of
from tollbook.usage import INPUT_KINDS, KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    import numpy.typing as npt

    from tollbook.call import Call
    from tollbook.ledger.charge import Charge, PartCharge, Resolve
    from tollbook.prices.card import RateCard

    Ints = npt.NDArray[np.int64]

_INT64_MAX: Final = 2**63 - 1
# An enum's member is looked up ten times as slowly as a module's name.
_METERED: Final = Metering.METERED
_REJECTED: Final = Status.REJECTED
_NO_KINDS: Final = Kinds(*[0] * len(KINDS))
_BITS: Final = 1 << np.arange(len(KINDS), dtype=np.int64)
_PATTERNS: Final = 1 << len(KINDS)
_ALONE: Final = -1
_NEAR_INT64_MAX: Final = 2.0**62
"""Where a sum in floating point, which is quick, might be one beyond 64 bits."""
_GROUPS_MAX: Final = 8192


class Priced(NamedTuple):
    """The charges of some calls."""

    columns: dict[str, Any]
    """Arrow arrays by column name."""
    card_ids: set[str]
    """The cards that the columns and the parts name."""
    further: Sequence[tuple[int, tuple[PartCharge, ...]]] = ()
    """Which of the calls have parts that are entries of their own."""


class _Words(NamedTuple):
    """What stands beside the amounts."""

    state: PriceState
    card_id: str | None
    flags: str | None
    source: CostSource | None


class _Group(NamedTuple):
    """What calls with one card, step and set of used kinds have in common."""

    words: _Words
    rates: Ints | None
    """Pico for one of each kind; None where such calls have no cost."""


_groups: dict[tuple[str, int, int], _Group | None] = {}


def price_calls(
    calls: Sequence[Call], resolve: Resolve, uses_reported: Container[str] = NO_PROVIDER
) -> Priced:
    """Return the kinds, the price and the cost of calls, as ``charge_of`` says of each."""
    measured = [measure(call) for call in calls]
    try:
        return _Pricing(calls, list(measured), resolve, uses_reported).run()
    except OverflowError:  # an amount beyond 64 bits
        charges = [
            price(*pair, resolve, uses_reported) for pair in zip(calls, measured, strict=True)
        ]
        columns = charge_columns(charges, weights=[call.opened.layers for call in calls])
        return Priced(columns, _card_ids(charges), _further(enumerate(charges)))


def _card_ids(charges: Iterable[Charge]) -> set[str]:
    return {
        one.card_id
        for charge in charges
        for one in (charge, *(part.charge for part in charge.further))
        if one.card_id
    }


def _further(charges: Iterable[tuple[int, Charge]]) -> list[tuple[int, tuple[PartCharge, ...]]]:
    return [(at, charge.further) for at, charge in charges if charge.further]


class _Pricing:
    """The work on one lot of calls.

    Raises:
        OverflowError: an amount does not fit into 64 bits.
    """

    def __init__(
        self, calls: Sequence[Call], measured: list[Measured], resolve: Resolve,
        uses_reported: Container[str],
    ) -> None:  # fmt: skip
        self._calls, self._measured, self._resolve = calls, measured, resolve
        self._uses_reported = uses_reported
        self._alone: dict[int, Charge] = {}
        self._words: dict[_Words, int] = {}
        self._tiers: list[str | None] = []
        self._regions: list[str | None] = []

    def run(self) -> Priced:
        cards, card_of = self._cards()
        kinds = np.fromiter(
            chain.from_iterable([one.kinds or _NO_KINDS for one in self._measured]),
            np.int64, len(KINDS) * len(self._calls),
        ).reshape(-1, len(KINDS))  # fmt: skip
        words_of, rates, has_cost = self._price_groups(kinds, cards, card_of)
        parts = kinds * rates
        costs = parts.sum(axis=1)
        for at, charge in self._alone.items():
            flags = words_text(charge.flags)
            words_of[at] = self._code(
                _Words(charge.state, charge.card_id, flags, charge.cost_source)
            )
            parts[at] = charge.components or _NO_KINDS
            costs[at] = charge.cost or 0
            has_cost[at] = charge.cost is not None
            self._tiers[at], self._regions[at] = charge.tier, charge.region
        columns = kind_columns(Kind.CHARGE, len(self._calls)) | self._texts(words_of)
        missing = None if has_cost.all() else ~has_cost
        columns["cost_usd"] = money_from_int64(costs, missing)
        columns |= component_columns(parts, missing)
        is_unknown = np.array([one.kinds is None for one in self._measured])
        unknown = is_unknown if is_unknown.any() else None
        columns |= quantity_columns(kinds, unknown)
        weights = [call.opened.layers for call in self._calls]
        layers = LayerTable(weights, kinds, rates, parts, list(self._alone))
        columns |= layers.columns(unknown, missing)
        columns |= self._rare()
        return Priced(
            columns,
            {one.card_id for one in self._words if one.card_id} | _card_ids(self._alone.values()),
            _further(self._alone.items()),
        )

    def _rare(self) -> dict[str, Any]:
        """Return the columns that few calls have anything in."""
        saved: list[int | None] = []
        if any(charge.saved is not None for charge in self._alone.values()):
            saved = [None] * len(self._calls)
            for at, charge in self._alone.items():
                saved[at] = charge.saved
        return said({
            "reported_cost_usd": amounts([one.reported_cost_pico for one in self._measured]),
            "saved_cost_usd": amounts(saved),
        })  # fmt: skip

    def _cards(self) -> tuple[list[RateCard], Ints]:
        """Return the cards, and which of them each call has; price those without one."""
        cards: dict[str, int] = {}
        resolved: list[RateCard] = []
        card_of: list[int] = []
        add, resolve = card_of.append, self._resolve
        add_tier, add_region = self._tiers.append, self._regions.append
        for at, (call, measured) in enumerate(zip(self._calls, self._measured, strict=True)):
            opened, closed = call.opened, call.closed
            tier, region = measured.tier or closed.service_tier, measured.region or opened.region
            if opened.batch_id is not None:
                tier = tier_text(call, measured)
            add_tier(tier)
            add_region(region)
            card = None
            if (
                measured.kinds is not None
                and closed.is_billable
                and opened.metering is _METERED
                and closed.status is not _REJECTED
                and not measured.further
                and (
                    measured.reported_cost_pico is None
                    or opened.provider not in self._uses_reported
                )
                and closed.cached_from is None
            ):
                card = resolve(
                    opened.provider, closed.model_actual or opened.model_requested,
                    opened.started_at_ns // 1000 * 1000, tier, region,
                )  # fmt: skip
            if card is None:
                self._price_alone(at)
                add(_ALONE)
                continue
            index = cards.setdefault(card.card_id, len(resolved))
            if index == len(resolved):
                resolved.append(card)
            add(index)
        return resolved, np.array(card_of, np.int64)

    def _price_groups(
        self, kinds: Ints, cards: Sequence[RateCard], card_of: Ints
    ) -> tuple[npt.NDArray[np.int32], Ints, npt.NDArray[np.bool_]]:
        """Return for each call the code of its words, its rates, and if its cost is known."""
        step_of, steps = card_steps(kinds, cards, card_of)
        used = (kinds != 0) @ _BITS
        keys = np.where(card_of == _ALONE, -1, (card_of * steps + step_of) * _PATTERNS + used)
        distinct, group_of = np.unique(keys, return_inverse=True)
        rates = np.zeros((len(distinct), len(KINDS)), np.int64)
        words, has_cost = np.zeros(len(distinct), np.int32), np.ones(len(distinct), np.bool_)
        most = kinds.max(axis=0)
        bounds = most.astype(np.float64)
        for at, key in enumerate(distinct.tolist()):
            if key < 0:
                continue
            (index, step), pattern = divmod(key // _PATTERNS, steps), key % _PATTERNS
            group = card_group(cards[index], step, pattern)
            if group is None or (
                group.rates is not None
                and group.rates @ bounds > _NEAR_INT64_MAX
                and _is_beyond_64_bits(group.rates, most)
            ):
                for row in np.flatnonzero(group_of == at).tolist():
                    self._price_alone(row)
                continue
            words[at] = self._code(group.words)
            if group.rates is None:
                has_cost[at] = False
            else:
                rates[at] = group.rates
        return words[group_of], rates[group_of], has_cost[group_of]

    def _price_alone(self, at: int) -> None:
        measured = self._measured[at]
        charge = price(self._calls[at], measured, self._resolve, self._uses_reported)
        self._alone[at] = charge
        self._measured[at] = Measured(
            charge.kinds, charge.source, charge.problems, reported_cost_pico=charge.reported
        )

    def _code(self, words: _Words) -> int:
        return self._words.setdefault(words, len(self._words))

    def _texts(self, words_of: npt.NDArray[np.int32]) -> dict[str, Any]:
        states, card_ids, flags, sources = zip(*self._words, strict=True)
        codes = pa.array(words_of, pa.int32())
        return said({
            "usage_source": pa.array([one.source for one in self._measured], pa.string()),
            "usage_problems": words_array([one.problems for one in self._measured]),
            "price_state": pa.array(states, pa.string()).take(codes),
            "price_card_id": _taken(card_ids, codes),
            "price_flags": _taken(flags, codes),
            "cost_source": _taken(sources, codes),
            "price_tier": _few(self._tiers, tier_of),
            "region": _few(self._regions, str),
        })  # fmt: skip


def _taken(texts: Sequence[str | None], codes: Any) -> Any:
    return pa.array(texts, pa.string()).take(codes) if any(texts) else None


def _few(texts: Sequence[str | None], form: Callable[[str], str | None]) -> Any:
    """Return a column of few different texts, each brought to a form; None where it is empty."""
    distinct = set(texts)
    forms = {one: None if one is None else form(one) for one in distinct}
    if not any(forms.values()):
        return None
    return pa.array([forms[one] for one in texts], pa.string())


def card_steps(kinds: Ints, cards: Sequence[RateCard], card_of: Ints) -> tuple[Ints, int]:
    """Return which step of its card each call is in, and one more than the highest there is."""
    step_of, steps = np.zeros(len(kinds), np.int64), 1
    for index, card in enumerate(cards):
        edges = step_edges(card)
        if edges:
            rows = np.flatnonzero(card_of == index)
            inputs = kinds[rows, : len(INPUT_KINDS)].sum(axis=1)
            step_of[rows] = np.searchsorted(np.array(edges), inputs, side="left")
            steps = max(steps, 1 + len(edges))
    return step_of, steps


def _is_beyond_64_bits(rates: Ints, most: Ints) -> bool:
    return sum(map(int.__mul__, rates.tolist(), most.tolist())) > _INT64_MAX


def card_group(card: RateCard, step: int, pattern: int) -> _Group | None:
    """Return what such calls have in common; None where each is to be priced alone."""
    key = (card.card_id, step, pattern)
    if key not in _groups:
        if len(_groups) >= _GROUPS_MAX:
            _groups.clear()
        _groups[key] = _new_group(card, step, pattern)
    return _groups[key]


def _new_group(card: RateCard, step: int, pattern: int) -> _Group | None:
    rated = unit_prices(card, step, Kinds(*(pattern >> at & 1 for at in range(len(KINDS)))))
    if rated is None:
        return None
    state, flags = outcome(card, rated)
    is_priced = state is not PriceState.UNPRICED
    words = _Words(
        state, card.card_id, words_text(flags), CostSource.CARD if is_priced else None
    )  # fmt: skip
    if not is_priced:
        return _Group(words, None)
    if max(rated.components) > _INT64_MAX:
        return None
    return _Group(words, np.array(rated.components, np.int64))
