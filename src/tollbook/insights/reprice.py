"""What calls would have cost with another model: priced again with the ledger's own function."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from tollbook.ledger.charge import outcome
from tollbook.ledger.schema import PriceState
from tollbook.prices.rating import rate, step_edges, unit_prices
from tollbook.reports.query import Filter
from tollbook.reports.usage_groups import Place, UsageGroup, places, usage_groups
from tollbook.usage import Kinds, kinds_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tollbook.prices.book import PriceBook
    from tollbook.prices.card import RateCard
    from tollbook.reports.query import SpendQuery
    from tollbook.reports.reader import Reader

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS_MAX: Final = 1_000
NO_CARD: Final = "no price for this model"


class Repriced(NamedTuple):
    """One group, as it was and with the other model."""

    calls: int
    cost: int
    """Pico that the calls cost which can be priced again."""
    other_cost: int
    """Pico that they would have cost."""
    unpriced_calls: int
    reasons: tuple[str, ...]
    """Why those could not be priced again."""


class Targets(NamedTuple):
    """Cards of the other models over time."""

    moments_ns: tuple[int, ...]
    """When any of the prices changes within the range, ascending."""
    edges: tuple[int, ...]
    cards: Mapping[tuple[Place, int], RateCard | None]
    """By place and segment of time."""


def reprice(
    reader: Reader, book: PriceBook, query: SpendQuery, target: Callable[[str, str], str | None]
) -> dict[tuple[Any, ...], Repriced]:
    """Price the calls of a query again, each with the card in force at its time.

    Args:
        reader: the ledger.
        book: prices, contracts included.
        query: range, filters, and the groups to answer by.
        target: provider and model to the other model; None: those calls are left out.

    Returns:
        By the values of the dimensions, then provider, model and the other model.

    Raises:
        QueryTimeoutError: it took too long.
    """
    wanted = [
        one for one in places(reader, query) if target(one.provider, one.model) is not None
    ]  # fmt: skip
    if not wanted:
        return {}
    models = tuple(sorted({one.model for one in wanted}))
    asked = _of_models(query, models)
    targets = _targets(book, query, wanted, target)
    tally = _Tally(targets, target)
    for one in usage_groups(reader, asked, targets.moments_ns, targets.edges):
        tally.add_sum(one)
    if tally.to_round:
        for one in usage_groups(
            reader, asked, targets.moments_ns, targets.edges, is_by_quantity=True
        ):
            tally.add_each(one)
    return tally.found()


class _Tally:
    """Adds up what groups of calls cost and would have cost."""

    def __init__(self, targets: Targets, target: Callable[[str, str], str | None]) -> None:
        self._targets, self._target = targets, target
        self._sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, 0, 0, 0, {}])
        self.to_round: set[tuple[Place, int, int]] = set()
        """Where the price of each call is rounded, so that calls must be told apart."""

    def add_sum(self, one: UsageGroup) -> None:
        """Add summed usage, or note that its calls must be told apart."""
        if self._target(one.place.provider, one.place.model) is None:
            return
        other = _sum_priced(one, self._targets)
        if other is None:
            self.to_round.add((one.place, one.segment, one.bucket))
        else:
            self._add(one, other)

    def add_each(self, one: UsageGroup) -> None:
        """Add calls of one usage, if they could not be added with others."""
        is_rounded = (one.place, one.segment, one.bucket) in self.to_round
        # The same quantities decide, so what was added as a sum is not added again.
        if is_rounded and _sum_priced(one, self._targets) is None:
            self._add(one, _each_priced(one, self._targets))

    def found(self) -> dict[tuple[Any, ...], Repriced]:
        """Return the sums by group, provider, model and other model."""
        return {
            key: Repriced(calls, cost, other, unpriced, tuple(reasons))
            for key, (calls, cost, other, unpriced, reasons) in self._sums.items()
        }

    def _add(self, one: UsageGroup, other: int | str) -> None:
        to = self._target(one.place.provider, one.place.model)
        found = self._sums[(*one.group, one.place.provider, one.place.model, to)]
        if isinstance(other, str):
            found[3] += one.calls
            found[4][other] = None
        else:
            found[0] += one.calls
            found[1] += one.cost
            found[2] += other


def _of_models(query: SpendQuery, models: Sequence[str]) -> SpendQuery:
    return replace(query, where=(*query.where, Filter("model", tuple(models))))


def _targets(
    book: PriceBook, query: SpendQuery, wanted: Sequence[Place],
    target: Callable[[str, str], str | None],
) -> Targets:  # fmt: skip
    since_ns, until_ns = _ns(query.since), _ns(query.until)
    moments: set[int] = set()
    for place in wanted:
        model, at_ns = target(place.provider, place.model), since_ns
        assert model is not None, "only those with a target are wanted"
        while at_ns < until_ns and len(moments) < _MOMENTS_MAX:
            at_ns = book.window(place.provider, model, at_ns, place.tier, place.region).until_ns
            if at_ns < until_ns:
                moments.add(at_ns)
    ordered = tuple(sorted(moments))
    cards = {
        (place, segment): book.resolve(
            place.provider, target(place.provider, place.model), start_ns, place.tier, place.region
        )
        for segment, start_ns in enumerate((since_ns, *ordered))
        for place in wanted
    }
    edges = {edge for card in cards.values() if card is not None for edge in step_edges(card)}
    return Targets(ordered, tuple(sorted(edges)), cards)


def _card_and_step(one: UsageGroup, targets: Targets) -> tuple[RateCard | None, int]:
    card = targets.cards[one.place, one.segment]
    if card is None:
        return None, 0
    exceeded = set(targets.edges[: one.bucket])
    return card, sum(edge in exceeded for edge in step_edges(card))


def _sum_priced(one: UsageGroup, targets: Targets) -> int | str | None:
    """Return the price of summed usage, why there is none, or None where calls must be rounded."""
    card, step = _card_and_step(one, targets)
    if card is None:
        return NO_CARD
    used = kinds_from(tuple(int(bool(quantity)) for quantity in one.kinds))
    each = unit_prices(card, step, used)
    if each is None:
        return None
    state, flags = outcome(card, each)
    if state is PriceState.UNPRICED:
        return "; ".join(flags)
    return sum(
        price * quantity for price, quantity in zip(each.components, one.kinds, strict=True)
    )  # fmt: skip


def _each_priced(one: UsageGroup, targets: Targets) -> int | str:
    """Return the price of so many calls of the same usage."""
    card, _ = _card_and_step(one, targets)
    assert card is not None, "without a card there was an answer before"
    rated = rate(card, Kinds(*one.kinds))
    state, flags = outcome(card, rated)
    return "; ".join(flags) if state is PriceState.UNPRICED else rated.total * one.times


def _ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
