"""What a call is charged: its usage in disjoint kinds, its price, and why.

The same function serves ingest, re-rating and verification, so that all three agree. It never
raises on what a provider or client sent: whatever goes wrong is a problem that stands beside the
charge, and the call is kept as unpriced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tollbook.call import Metering, Status, UsageSource
from tollbook.dialects.base import Measured
from tollbook.dialects.batch_routes import BATCH
from tollbook.dialects.registry import measures_named
from tollbook.ledger.exact import MONEY_MAX
from tollbook.ledger.reported import as_reported
from tollbook.ledger.schema import CostSource, PriceState
from tollbook.prices.rating import rate
from tollbook.prices.tiers import tier_of, with_batch
from tollbook.usage import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from tollbook.call import Call
    from tollbook.prices.card import RateCard
    from tollbook.prices.rating import Rated
    from tollbook.usage import Kinds

    Resolve = Callable[[str, str | None, int, str | None, str | None], RateCard | None]
    """Provider, model, time (ns since the epoch), tier words and region to the card in force."""

# An enum's member is looked up ten times as slowly as a module's name.
_METERED: Final = Metering.METERED
ZERO: Final = (0,) * len(KINDS)
NO_PROVIDER: Final[frozenset[str]] = frozenset()
_free_cards: dict[str, bool] = {}
_FREE_CARDS_MAX: Final = 8192


class Charge(NamedTuple):
    """The charge of one call, or of one part of it. Amounts are in pico; None is unknown."""

    kinds: Kinds | None
    source: UsageSource
    problems: tuple[str, ...]
    state: PriceState
    card_id: str | None
    flags: tuple[str, ...]
    cost: int | None
    components: tuple[int, ...] | None
    tier: str | None = None
    """What the price was chosen by beside the model, as :func:`tier_of` returns it."""
    region: str | None = None
    cost_source: CostSource | None = None
    """None where nothing is known or due."""
    reported: int | None = None
    """What the provider itself says that the call cost."""
    saved: int | None = None
    """What an answer from the response cache would have cost."""
    further: tuple[PartCharge, ...] = ()
    """Parts of the call that are priced for themselves."""


class PartCharge(NamedTuple):
    """A share of a call that another model or another price made."""

    label: str
    model: str | None
    """None: the model of the call."""
    charge: Charge


def measure(call: Call) -> Measured:
    """Return the usage of a call, as its dialect reads it."""
    opened, closed = call.opened, call.closed
    if opened.metering is not _METERED:
        return Measured(None, UsageSource.NONE)
    if not closed.is_billable:
        if closed.cached_from is None:
            return Measured(None, UsageSource.NONE)
        # What the answer that was given again had used, for what it saved.
        call = replace(call, closed=replace(closed, is_billable=True))
    if opened.operation == BATCH:
        # Results that did not come or could not be read: an estimate would say zero.
        return Measured(None, UsageSource.NONE, ("nothing is known of what the batch's line cost",))
    try:
        measured = measures_named(opened.dialect).measure(call)
    except Exception as error:  # noqa: BLE001 -- no data may stop the ledger; the call is kept
        return Measured(None, UsageSource.NONE, (f"usage could not be read: {_words(error)}",))
    reported = measured.reported_cost_pico
    if reported is not None and not 0 <= reported <= MONEY_MAX:
        problems = (*measured.problems, "the provider's own cost is no amount; it was not used")
        return replace(measured, reported_cost_pico=None, problems=problems)
    return measured


def charge_of(call: Call, resolve: Resolve, uses_reported: Container[str] = NO_PROVIDER) -> Charge:
    """Return what a call is charged with the card that is in force at its start."""
    return price(call, measure(call), resolve, uses_reported)


def tier_text(call: Call, measured: Measured) -> str | None:
    """Return what the price depends on beside the model: as served, not as asked."""
    tier = measured.tier or call.closed.service_tier
    return tier if call.opened.batch_id is None else with_batch(tier)


def price(
    call: Call,
    measured: Measured,
    resolve: Resolve,
    uses_reported: Container[str] = NO_PROVIDER,
) -> Charge:
    """Price measured usage with the card that is in force at the start of the call.

    Args:
        call: the call.
        measured: what :func:`measure` returned for it.
        resolve: finds the card.
        uses_reported: the providers whose own figure is the cost, where they give one.
    """
    opened, closed = call.opened, call.closed
    kinds, source, problems = measured.kinds, measured.source, measured.problems
    region = measured.region or opened.region
    if opened.metering is Metering.FREE:
        return Charge(
            kinds, source, problems, PriceState.FREE, None, (), 0, ZERO, region=region
        )  # fmt: skip
    is_cached = closed.cached_from is not None
    if not is_cached and (not closed.is_billable or closed.status is Status.REJECTED):
        return Charge(
            None, UsageSource.NONE, problems, PriceState.NOT_BILLED, None, (), 0, ZERO,
            region=region,
        )  # fmt: skip
    if opened.metering is Metering.UNMETERED:
        return Charge(
            kinds, source, problems, PriceState.UNMETERED, None, (), None, None, region=region
        )  # fmt: skip
    try:
        charge = _Pricing(call, measured, resolve, region).charge()
        if measured.reported_cost_pico is not None and opened.provider in uses_reported:
            charge = as_reported(charge, measured.reported_cost_pico)
    except Exception as error:  # noqa: BLE001 -- as above
        problem = f"the usage could not be priced: {_words(error)}"
        charge = Charge(
            kinds, source, (*problems, problem), PriceState.UNPRICED, None, (), None, None,
            region=region,
        )  # fmt: skip
    return _saved(charge) if is_cached else charge


class _Pricing(NamedTuple):
    """A call whose usage is to be priced by cards."""

    call: Call
    measured: Measured
    resolve: Resolve
    region: str | None

    def charge(self) -> Charge:
        """Return the charge of the call, its parts in it."""
        measured, closed = self.measured, self.call.closed
        tier = tier_text(self.call, measured)
        model = closed.model_actual or self.call.opened.model_requested
        further = tuple(
            PartCharge(
                part.label,
                part.model,
                self._one(
                    # The call is one request, whatever made it.
                    part.kinds._replace(requests=0) if part.kinds.requests else part.kinds,
                    part.model or model, part.tier or tier, (),
                ),
            )
            for part in measured.further
        )  # fmt: skip
        main = self._one(measured.kinds, model, tier, measured.problems)
        return main._replace(reported=measured.reported_cost_pico, further=further)

    def _one(
        self, kinds: Kinds | None, model: str | None, tier: str | None, problems: tuple[str, ...]
    ) -> Charge:
        unpriced = Charge(
            kinds, self.measured.source, problems, PriceState.UNPRICED, None,
            ("no usage is known",), None, None, tier_of(tier), self.region,
        )  # fmt: skip
        if kinds is None:
            return unpriced
        opened = self.call.opened
        # To the microsecond, as it is stored, so that a later recomputation asks the same.
        at_ns = opened.started_at_ns // 1000 * 1000
        card = self.resolve(opened.provider, model, at_ns, tier, self.region)
        if card is None:
            return unpriced._replace(flags=("no price for this model",))
        rated = rate(card, kinds)
        state, flags = outcome(card, rated)
        if state is not PriceState.UNPRICED and rated.total > MONEY_MAX:
            state, flags = PriceState.UNPRICED, ("the cost is beyond any amount of money",)
        if state is PriceState.UNPRICED:
            return unpriced._replace(card_id=card.card_id, flags=flags)
        return unpriced._replace(
            state=state, card_id=card.card_id, flags=flags, cost=rated.total,
            components=rated.components, cost_source=CostSource.CARD,
        )  # fmt: skip


def _saved(charge: Charge) -> Charge:
    """Return the charge of an answer from the response cache: nothing, and what that saved."""
    return charge._replace(
        kinds=None, state=PriceState.CACHED, cost=0, components=ZERO, cost_source=None,
        reported=None, saved=charge.cost,
        further=tuple(one._replace(charge=_saved(one.charge)) for one in charge.further),
    )  # fmt: skip


def outcome(card: RateCard, rated: Rated) -> tuple[PriceState, tuple[str, ...]]:
    """Return whether what was rated is priced, and the words that go with it."""
    if rated.unpriced_kinds:
        missing = tuple(f"no rate for {kind}" for kind in rated.unpriced_kinds)
        return PriceState.UNPRICED, (*rated.flags, *missing)
    return PriceState.FREE if _is_free(card) else PriceState.PRICED, rated.flags


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
