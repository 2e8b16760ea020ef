"""Rate a usage with a card: integers in, integers out, about a microsecond a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tollbook.prices.card import ADD_ON_KINDS, effective_rates
from tollbook.usage import KINDS, TOKEN_KINDS, Kinds

if TYPE_CHECKING:
    from tollbook.prices.card import RateCard, Rates

_PLANS_MAX = 8192
_REQUESTS = KINDS.index("requests")
_TOKENS_END = len(TOKEN_KINDS)


class Rated(NamedTuple):
    """What a usage costs, in pico (10^-12 USD)."""

    components: tuple[int, ...]
    """One for each of :data:`tollbook.usage.KINDS`."""
    total: int
    """The sum of the components."""
    flags: tuple[str, ...] = ()
    """What to know about the price, in words."""
    unpriced_kinds: tuple[str, ...] = ()
    """Used, but without a rate and nothing to follow: the total leaves them out."""


class _Plan(NamedTuple):
    """A card made ready: for each kind pico and units, zero units where there is no rate."""

    standard: tuple[tuple[int, int], ...]
    steps: tuple[tuple[int, tuple[tuple[int, int], ...], tuple[str, ...]], ...]
    """From the highest: the largest input that does not reach the step, its rates and flags."""
    notes: tuple[str | None, ...]
    card_flags: tuple[str, ...]
    unmeasured: tuple[str, ...]
    pieces: tuple[int, ...]
    """Of a card that bills by the piece alone, the kinds it has a rate for."""
    minimum: int
    """Pico for each request, at least."""


_plans: dict[str, _Plan] = {}

_NO_RATE = (0, 0)
MINIMUM_APPLIED = "raised to the minimum of a request"


def rate(card: RateCard, kinds: Kinds) -> Rated:
    """Price the quantities of one call; each component is rounded once, half to even, to pico.

    A step is chosen by all input tokens and prices the whole call. ``requests`` without a rate
    is no fee; any other kind that was used and has no rate is in ``unpriced_kinds``. A card that
    bills by the piece alone (a minute, an image, a search unit) prices no usage in which none of
    these was counted. What is lacking to the minimum of a request is in its ``requests``.
    """
    plan = _plans.get(card.card_id) or _plan(card)
    if plan.steps:
        rated = _rated(plan, *_in_step(plan, kinds.input_tokens), kinds)
    else:
        rated = _rated(plan, plan.standard, plan.card_flags, kinds)
    return _at_least(rated, plan.minimum * kinds.requests) if plan.minimum else rated


def _at_least(rated: Rated, minimum: int) -> Rated:
    lacking = minimum - rated.total
    if lacking <= 0 or rated.unpriced_kinds:
        return rated
    components = list(rated.components)
    components[_REQUESTS] += lacking
    return Rated(tuple(components), minimum, (*rated.flags, MINIMUM_APPLIED))


def _rated(
    plan: _Plan, rates: tuple[tuple[int, int], ...], flags: tuple[str, ...], kinds: Kinds
) -> Rated:
    components = []
    total = 0
    unpriced = plan.unmeasured
    for at, quantity in enumerate(kinds):
        if not quantity:
            components.append(0)
            continue
        pico, units = rates[at]
        cost = pico * quantity
        if units != 1:
            if units:
                cost, remainder = divmod(cost, units)
                # half to even, as Rate.cost_pico
                twice = 2 * remainder
                if twice > units or (twice == units and cost & 1):
                    cost += 1
            elif at != _REQUESTS:
                unpriced = (*unpriced, KINDS[at])
        components.append(cost)
        total += cost
        note = plan.notes[at]
        if note is not None:
            flags = (*flags, note)
    if plan.pieces and not any(kinds[at] for at in plan.pieces):
        unpriced = (*unpriced, *(KINDS[at] for at in plan.pieces))
    return Rated(tuple(components), total, flags, unpriced)


def step_edges(card: RateCard) -> tuple[int, ...]:
    """Return, ascending, the largest input of each step that does not reach the next one."""
    plan = _plans.get(card.card_id) or _plan(card)
    return tuple(above for above, _, _ in reversed(plan.steps))


def unit_prices(card: RateCard, step: int, used: Kinds) -> Rated | None:
    """Return what one of each kind in ``used`` (ones and zeros) costs in a step of the card.

    With it many usages of the same kinds are priced by multiplication, as :func:`rate` would each.

    Args:
        card: the card.
        step: how many of its :func:`step_edges` the input exceeds.
        used: one for each kind that is used, zero for the others.

    Returns:
        None where a rate is no whole number of pico, so that each product is to be rounded, or
        where a minimum is held against each sum.
    """
    plan = _plans.get(card.card_id) or _plan(card)
    if plan.minimum:
        return None
    rates, flags = plan.steps[-step][1:] if step else (plan.standard, plan.card_flags)
    if any(units > 1 for (_, units), is_used in zip(rates, used, strict=True) if is_used):
        return None
    return _rated(plan, rates, flags, used)


def rates_in_step(card: RateCard, input_tokens: int) -> tuple[Rates, int | None]:
    """Return the effective rates for so much input, and the index of the step that applies."""
    for at in range(len(card.steps) - 1, -1, -1):
        step = card.steps[at]
        if input_tokens > step.threshold or (step.is_inclusive and input_tokens == step.threshold):
            return effective_rates(card, step.rates), at
    return effective_rates(card, card.rates), None


def card_flags(card: RateCard) -> tuple[str, ...]:
    """Return what to know about every price made with the card."""
    if card.is_tier_priced:
        return card.cautions
    return (no_tier_price(card.service_tier), *card.cautions)


def no_tier_price(words: str | None) -> str:
    """Return what is said of a price that was not made for some words of the tier."""
    return f"no price for service tier {words}; the standard price is used"


def _in_step(plan: _Plan, input_tokens: int) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    for above, rates, flags in plan.steps:
        if input_tokens > above:
            return rates, flags
    return plan.standard, plan.card_flags


def _plan(card: RateCard) -> _Plan:
    own = card.rates
    priced = tuple(
        at for at, one in enumerate(own) if one is not None and KINDS[at] not in ADD_ON_KINDS
    )
    is_by_piece = all(_TOKENS_END <= at != _REQUESTS for at in priced)
    plan = _Plan(
        standard=_pairs(effective_rates(card, own)),
        steps=tuple(
            (
                step.threshold - step.is_inclusive,
                _pairs(effective_rates(card, step.rates)),
                card_flags(card) if step.caution is None else (*card_flags(card), step.caution),
            )
            for step in reversed(card.steps)
        ),
        notes=tuple(
            f"{kind} follows {card.inherited[kind]}"
            if kind in card.inherited
            else card.notes.get(kind)
            for kind in KINDS
        ),
        card_flags=card_flags(card),
        unmeasured=() if priced else card.uncounted,
        pieces=priced if is_by_piece else (),
        minimum=card.minimum_pico,
    )
    if len(_plans) >= _PLANS_MAX:
        _plans.clear()
    _plans[card.card_id] = plan
    return plan


def _pairs(rates: Rates) -> tuple[tuple[int, int], ...]:
    return tuple(_NO_RATE if own is None else (own.numerator, own.denominator) for own in rates)
