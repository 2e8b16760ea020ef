"""Any mixture of planted differences: each is found under its own name, to the last digit."""

from __future__ import annotations

import random
from collections import defaultdict
from fractions import Fraction
from typing import NamedTuple

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tollbook.chargeback.reconcile.keys import Key
from tollbook.chargeback.reconcile.ledgerside import LedgerCell, LedgerSide
from tollbook.chargeback.reconcile.lines import Line, Other, Who
from tollbook.chargeback.reconcile.model import Cause
from tollbook.chargeback.reconcile.providerside import ProviderSide
from tollbook.chargeback.reconcile.rules import explain
from tollbook.chargeback.reconcile.world import World

FIRST, DAYS = 20_000, 28
RATES = {"uncached_input_tokens": 3_000_000, "visible_output_tokens": 15_000_000}
MODELS = ("large", "small")
GATEWAY, PLAY = Who("product", "k1"), Who("lab", "k2")


class Event(NamedTuple):
    """Usage of one hour, model and kind."""

    hour: int
    key: Key
    tokens: int


class Plan(NamedTuple):
    """What is planted."""

    seed: int
    bypass_share: int
    """Percent of the gateway's traffic that goes past it besides."""
    doubled: tuple[int, int] | None
    """Day and hour of it."""
    cheaper: tuple[str, int] | None
    """A model, and the day from which on it costs a tenth less."""
    gap: int | None
    credit: int
    tax: int
    rounding: int


_plans = st.builds(
    Plan,
    seed=st.integers(0, 10**6), bypass_share=st.sampled_from([0, 3, 40, 200]),
    doubled=st.one_of(st.none(), st.tuples(st.integers(0, 13), st.integers(0, 23))),
    cheaper=st.one_of(st.none(), st.tuples(st.sampled_from(MODELS), st.integers(0, DAYS - 1))),
    gap=st.one_of(st.none(), st.integers(14, DAYS - 1)),
    credit=st.sampled_from([0, 250 * 10**12]), tax=st.sampled_from([0, 10**12]),
    rounding=st.integers(-(10**10), 10**10),
)  # fmt: skip


def _events(draw: random.Random, most: int) -> list[Event]:
    return [
        Event((FIRST + day) * 24 + hour, Key(model, kind), draw.randrange(most // 10, most))
        for day in range(DAYS)
        for hour in range(24)
        for model in MODELS
        for kind in RATES
    ]


def _billed(event: Event, plan: Plan) -> int:
    amount = RATES[event.key.kind or ""] * event.tokens
    if plan.cheaper is not None:
        model, day = plan.cheaper
        if event.key.model == model and event.hour // 24 >= FIRST + day:
            return amount * 9 // 10
    return amount


def _ledger(hourly: dict[tuple[int, Key], LedgerCell]) -> LedgerSide:
    cells: dict[tuple[int, Key], LedgerCell] = defaultdict(LedgerCell)
    for (hour, key), one in hourly.items():
        cells[hour // 24, key].add(one)

    def hours(first: int, last: int) -> dict[tuple[int, Key], LedgerCell]:
        return {at: one for at, one in hourly.items() if first <= at[0] < last}

    return LedgerSide(
        cells=cells, calls={}, silent={}, not_billed={}, terms=[],
        cost=sum(one.cost for one in cells.values()), trued_up=0, hours=hours,
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(plan=_plans)
def test_each_planted_cause_has_its_size(plan: Plan) -> None:
    # Which price holds on a day without quantities is known by its neighbours alone.
    assume(plan.cheaper is None or not plan.bypass_share or plan.cheaper[1] != plan.gap)
    draw = random.Random(plan.seed)
    own = _events(draw, 5000)
    past = _events(draw, 50 * plan.bypass_share) if plan.bypass_share else []
    planted: dict[Cause, int] = defaultdict(int)
    hourly: dict[tuple[int, Key], LedgerCell] = defaultdict(LedgerCell)
    for event in own:
        cost = RATES[event.key.kind or ""] * event.tokens
        copies = 1
        if plan.doubled is not None:
            day, hour = plan.doubled
            copies += event.hour == (FIRST + day) * 24 + hour
        hourly[event.hour, event.key].add(LedgerCell(event.tokens * copies, cost * copies))
        planted[Cause.DOUBLED] -= cost * (copies - 1)
        planted[Cause.WRONG_CARD] += _billed(event, plan) - cost
    tokens: dict[tuple[int, Key, Who], int] = defaultdict(int)
    dollars: dict[tuple[int, Key], int] = defaultdict(int)
    for who, events in ((GATEWAY, own), (PLAY, past)):
        for event in events:
            tokens[event.hour // 24, event.key, who] += event.tokens
            dollars[event.hour // 24, event.key] += _billed(event, plan)
            planted[Cause.BYPASS] += _billed(event, plan) if who is PLAY else 0
    usage = [
        Line(day, 0, 1, key, who, count, None, 1)
        for (day, key, who), count in tokens.items()
        if plan.gap is None or day != FIRST + plan.gap or who is PLAY
    ]
    if plan.gap is not None:
        usage = [line for line in usage if line.day != FIRST + plan.gap]
        _move_gap(plan, past, planted)
    money = [
        Line(day, 0, 1, key, Who(None, None), None, usd, 1) for (day, key), usd in dollars.items()
    ]
    usage_total = sum(dollars.values()) + plan.rounding
    others = [
        Other(cause, cause.value, amount, "st:1")
        for cause, amount in ((Cause.CREDIT, -plan.credit), (Cause.TAX, plan.tax))
        if amount
    ]
    planted[Cause.CREDIT], planted[Cause.TAX] = -plan.credit, plan.tax
    planted[Cause.ROUNDING] = plan.rounding
    provider = ProviderSide(
        usage=usage, money=money, others=others, usage_total=usage_total,
        total=usage_total + sum(one.amount for one in others), is_invoiced=True, currency="USD",
        unit=1, rows=len(money), is_final=True, bill=None, statements=(), words=(),
    )  # fmt: skip
    world = World(_ledger(hourly), provider, FIRST, FIRST + DAYS, lambda _key, _day: Fraction(0))
    found: dict[Cause, int] = defaultdict(int)
    for one in explain(world).differences("p", "2024-10"):
        found[one.cause] += one.amount
    found.pop(Cause.PROVIDER_GAP, None)
    assert {cause: usd for cause, usd in found.items() if usd} == {
        cause: usd for cause, usd in planted.items() if usd
    }


def _move_gap(plan: Plan, past: list[Event], planted: dict[Cause, int]) -> None:
    """On a day without usage report nothing proves what went past: only dollars are too many."""
    assert plan.gap is not None
    for event in past:
        if event.hour // 24 == FIRST + plan.gap:
            amount = _billed(event, plan)
            planted[Cause.BYPASS] -= amount
            planted[Cause.UNEXPLAINED] += amount
