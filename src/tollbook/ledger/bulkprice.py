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
from tollbook.ledger.charge import measure, outcome, price
from tollbook.ledger.columns import charge_columns, kind_columns, words_array, words_text
from tollbook.ledger.exact import money_columns
from tollbook.ledger.schema import COST_COLUMNS, Kind, PriceState
from tollbook.prices.rating import step_edges, unit_prices
from tollbook.usage import INPUT_KINDS, KINDS, Kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from tollbook.call import Call
    from tollbook.ledger.charge import Charge, Resolve
    from tollbook.prices.card import RateCard

    Ints = npt.NDArray[np.int64]

_INT64_MAX: Final = 2**63 - 1
_NO_KINDS: Final = Kinds(*[0] * len(KINDS))
_BITS: Final = 1 << np.arange(len(KINDS), dtype=np.int64)
_PATTERNS: Final = 1 << len(KINDS)
_ALONE: Final = -1
_GROUPS_MAX: Final = 8192


class Priced(NamedTuple):
    """The charges of some calls."""

    columns: dict[str, Any]
    """Arrow arrays by column name."""
    card_ids: set[str]
    """The cards that the columns name."""


class _Words(NamedTuple):
    """What stands beside the amounts."""

    state: PriceState
    card_id: str | None
    flags: str | None


class _Group(NamedTuple):
    """What calls with one card, step and set of used kinds have in common."""

    words: _Words
    rates: tuple[int, ...] | None
    """Pico for one of each kind; None where such calls have no cost."""


_groups: dict[tuple[str, int, int], _Group | None] = {}


def price_calls(calls: Sequence[Call], resolve: Resolve) -> Priced:
    """Return the kinds, the price and the cost of calls, as ``charge_of`` says of each."""
    measured = [measure(call) for call in calls]
    try:
        return _Pricing(calls, list(measured), resolve).run()
    except OverflowError:  # an amount beyond 64 bits
        charges = [price(*pair, resolve) for pair in zip(calls, measured, strict=True)]
        return Priced(charge_columns(charges), {one.card_id for one in charges if one.card_id})


class _Pricing:
    """The work on one lot of calls.

    Raises:
        OverflowError: an amount does not fit into 64 bits.
    """

    def __init__(self, calls: Sequence[Call], measured: list[Measured], resolve: Resolve) -> None:
        self._calls, self._measured, self._resolve = calls, measured, resolve
        self._alone: dict[int, Charge] = {}
        self._words: dict[_Words, int] = {}

    def run(self) -> Priced:
        cards, card_of = self._cards()
        kinds = np.fromiter(
            chain.from_iterable([one.kinds or _NO_KINDS for one in self._measured]),
            np.int64, len(KINDS) * len(self._calls),
        ).reshape(-1, len(KINDS))  # fmt: skip
        words_of, parts, has_cost = self._price_groups(kinds, cards, card_of)
        costs = parts.sum(axis=1)
        for at, charge in self._alone.items():
            words_of[at] = self._code(
                _Words(charge.state, charge.card_id, words_text(charge.flags))
            )
            parts[at] = charge.components or _NO_KINDS
            costs[at] = charge.cost or 0
            has_cost[at] = charge.cost is not None
        columns = kind_columns(Kind.CHARGE, len(self._calls)) | self._texts(words_of)
        missing = None if has_cost.all() else ~has_cost
        money = money_columns(np.column_stack([costs, parts]), missing)
        columns |= zip(("cost_usd", *COST_COLUMNS), money, strict=True)
        unknown = np.array([one.kinds is None for one in self._measured])
        mask = unknown if unknown.any() else None
        for name, values in zip(KINDS, np.ascontiguousarray(kinds.T), strict=True):
            columns[name] = pa.array(values, mask=mask)
        return Priced(columns, {one.card_id for one in self._words if one.card_id})

    def _cards(self) -> tuple[list[RateCard], Ints]:
        """Return the cards, and which of them each call has; price those without one."""
        cards: dict[str, int] = {}
        resolved: list[RateCard] = []
        card_of: list[int] = []
        add, resolve = card_of.append, self._resolve
        for at, (call, measured) in enumerate(zip(self._calls, self._measured, strict=True)):
            opened, closed = call.opened, call.closed
            card = None
            if (
                measured.kinds is not None
                and opened.metering is Metering.METERED
                and closed.is_billable
                and closed.status is not Status.REJECTED
            ):
                card = resolve(
                    opened.provider, closed.model_actual or opened.model_requested,
                    opened.started_at_ns // 1000 * 1000, closed.service_tier,
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
        """Return for each call the code of its words, the parts of its cost, if that is known."""
        step_of, steps = _steps(kinds, cards, card_of)
        used = (kinds != 0) @ _BITS
        keys = np.where(card_of == _ALONE, -1, (card_of * steps + step_of) * _PATTERNS + used)
        distinct, group_of = np.unique(keys, return_inverse=True)
        most = kinds.max(axis=0).tolist()
        rates = np.zeros((len(distinct), len(KINDS)), np.int64)
        words, has_cost = np.zeros(len(distinct), np.int32), np.ones(len(distinct), np.bool_)
        for at, key in enumerate(distinct.tolist()):
            if key < 0:
                continue
            (index, step), pattern = divmod(key // _PATTERNS, steps), key % _PATTERNS
            group = _group(cards[index], step, pattern)
            if group is None or _is_beyond_64_bits(group.rates, most):
                for row in np.flatnonzero(group_of == at).tolist():
                    self._price_alone(row)
                continue
            words[at] = self._code(group.words)
            has_cost[at] = group.rates is not None
            rates[at] = group.rates or _NO_KINDS
        return words[group_of], kinds * rates[group_of], has_cost[group_of]

    def _price_alone(self, at: int) -> None:
        charge = price(self._calls[at], self._measured[at], self._resolve)
        self._alone[at] = charge
        self._measured[at] = Measured(charge.kinds, charge.source, charge.problems)

    def _code(self, words: _Words) -> int:
        return self._words.setdefault(words, len(self._words))

    def _texts(self, words_of: npt.NDArray[np.int32]) -> dict[str, Any]:
        states, card_ids, flags = zip(*self._words, strict=True)
        codes = pa.array(words_of, pa.int32())
        return {
            "usage_source": pa.array([one.source for one in self._measured], pa.string()),
            "usage_problems": words_array([one.problems for one in self._measured]),
            "price_state": pa.array(states, pa.string()).take(codes),
            "price_card_id": pa.array(card_ids, pa.string()).take(codes),
            "price_flags": pa.array(flags, pa.string()).take(codes),
        }


def _steps(kinds: Ints, cards: Sequence[RateCard], card_of: Ints) -> tuple[Ints, int]:
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


def _is_beyond_64_bits(rates: tuple[int, ...] | None, most: Sequence[int]) -> bool:
    return rates is not None and sum(map(int.__mul__, rates, most)) > _INT64_MAX


def _group(card: RateCard, step: int, pattern: int) -> _Group | None:
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
    words = _Words(state, card.card_id, words_text(flags))
    return _Group(words, None if state is PriceState.UNPRICED else rated.components)
