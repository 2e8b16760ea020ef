"""What a call is charged: its usage in disjoint kinds, its price, and why.

The same function serves ingest, re-rating and verification, so that all three agree. It never
raises on what a provider or client sent: whatever goes wrong is a problem that stands beside the
charge, and the call is kept as unpriced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollbook.call import Metering, Status, UsageSource
from tollbook.dialects.base import Measured
from tollbook.dialects.batch_routes import BATCH
from tollbook.dialects.registry import dialect_named
from tollbook.ledger.exact import MONEY_MAX
from tollbook.ledger.schema import PriceState
from tollbook.prices.rating import rate
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tollbook.call import Call
    from tollbook.prices.card import RateCard
    from tollbook.prices.rating import Rated
    from tollbook.usage import Kinds

    Resolve = Callable[[str, str | None, int, str | None], RateCard | None]
    """Provider, model, time (ns since the epoch) and service tier to the card in force."""

ZERO = (0,) * len(KINDS)
_free_cards: dict[str, bool] = {}
_FREE_CARDS_MAX = 8192


class Charge(NamedTuple):
    """The charge of one call. Amounts are in pico; None is unknown."""

    kinds: Kinds | None
    source: UsageSource
    problems: tuple[str, ...]
    state: PriceState
    card_id: str | None
    flags: tuple[str, ...]
    cost: int | None
    components: tuple[int, ...] | None


def measure(call: Call) -> Measured:
    """Return the usage of a call, as its dialect reads it."""
    opened, closed = call.opened, call.closed
    if opened.metering is not Metering.METERED or not closed.is_billable:
        return Measured(None, UsageSource.NONE)
    if opened.operation == BATCH:
        # Results that did not come or could not be read: an estimate would say zero.
        return Measured(None, UsageSource.NONE, ("nothing is known of what the batch's line cost",))
    try:
        return dialect_named(opened.dialect).measure(call)
    except Exception as error:  # noqa: BLE001 -- no data may stop the ledger; the call is kept
        return Measured(None, UsageSource.NONE, (f"usage could not be read: {_words(error)}",))


def charge_of(call: Call, resolve: Resolve) -> Charge:
    """Return what a call is charged with the card that is in force at its start."""
    return price(call, measure(call), resolve)


def price(
    call: Call,
    measured: Measured,
    resolve: Resolve,
) -> Charge:
    """Price measured usage with the card that is in force at the start of the call."""
    opened, closed = call.opened, call.closed
    kinds, source, problems = measured.kinds, measured.source, measured.problems
    if opened.metering is Metering.FREE:
        return Charge(kinds, source, problems, PriceState.FREE, None, (), 0, ZERO)
    if not closed.is_billable or closed.status is Status.REJECTED:
        return Charge(None, UsageSource.NONE, problems, PriceState.NOT_BILLED, None, (), 0, ZERO)
    if opened.metering is Metering.UNMETERED:
        return Charge(kinds, source, problems, PriceState.UNMETERED, None, (), None, None)
    if kinds is None:
        return _unpriced(measured, None, ("no usage is known",))
    try:
        return _priced(call, measured, kinds, resolve)
    except Exception as error:  # noqa: BLE001 -- as above
        problem = f"the usage could not be priced: {_words(error)}"
        return _unpriced(Measured(kinds, source, (*problems, problem)), None, ())


def _priced(call: Call, measured: Measured, kinds: Kinds, resolve: Resolve) -> Charge:
    opened, closed = call.opened, call.closed
    # To the microsecond, as it is stored, so that a later recomputation asks the same.
    at_ns = opened.started_at_ns // 1000 * 1000
    model = closed.model_actual or opened.model_requested
    card = resolve(opened.provider, model, at_ns, closed.service_tier)
    if card is None:
        return _unpriced(measured, None, ("no price for this model",))
    rated = rate(card, kinds)
    state, flags = outcome(card, rated)
    if state is PriceState.UNPRICED:
        return _unpriced(measured, card.card_id, flags)
    if rated.total > MONEY_MAX:
        return _unpriced(measured, card.card_id, ("the cost is beyond any amount of money",))
    return Charge(
        kinds, measured.source, measured.problems, state, card.card_id, flags,
        rated.total, rated.components,
    )  # fmt: skip


def outcome(card: RateCard, rated: Rated) -> tuple[PriceState, tuple[str, ...]]:
    """Return whether what was rated is priced, and the words that go with it."""
    if rated.unpriced_kinds:
        missing = tuple(f"no rate for {kind}" for kind in rated.unpriced_kinds)
        return PriceState.UNPRICED, (*rated.flags, *missing)
    return PriceState.FREE if _is_free(card) else PriceState.PRICED, rated.flags


def _unpriced(measured: Measured, card_id: str | None, flags: tuple[str, ...]) -> Charge:
    return Charge(
        measured.kinds, measured.source, measured.problems, PriceState.UNPRICED, card_id, flags,
        None, None,
    )  # fmt: skip


def _is_free(card: RateCard) -> bool:
    known = _free_cards.get(card.card_id)
    if known is None:
        if len(_free_cards) >= _FREE_CARDS_MAX:
            _free_cards.clear()
        known = _free_cards[card.card_id] = card.is_free
    return known


def _words(error: Exception) -> str:
    """Name the fault without its text, which may repeat what a customer sent."""
    return type(error).__name__
