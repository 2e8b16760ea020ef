"""Exactness: parts sum to the whole, whatever the calls, tiers and times."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from tollbook.chargeback.terms.capacity import capacity_effect
from tollbook.chargeback.terms.cells import Cell, Key
from tollbook.chargeback.terms.exact import settle
from tollbook.chargeback.terms.model import FreeQuota, Term, VolumeTiers
from tollbook.chargeback.terms.quota import quota_effect
from tollbook.chargeback.terms.spans import HOUR_NS, Window, capacity_cost, hours, ns_of
from tollbook.chargeback.terms.volume import volume_effect

IN, OUT = "uncached_input_tokens", "visible_output_tokens"
fractions = st.fractions(min_value=-(10**15), max_value=10**15, max_denominator=10**6)
cells = st.lists(
    st.builds(
        Cell, st.builds(Key, st.sampled_from(["acme", "globex", None])),
        st.fixed_dictionaries({IN: st.integers(0, 60), OUT: st.integers(0, 60)}),
        st.fixed_dictionaries({IN: st.integers(0, 999), OUT: st.integers(0, 999)}),
    ),
    max_size=8,
)  # fmt: skip


@given(st.dictionaries(st.integers(), fractions))
def test_parts_are_less_than_one_off_and_sum_to_the_rounded_whole(shares: dict[int, Any]) -> None:
    parts = settle(shares)
    assert sum(parts.values()) == round(sum(shares.values(), Fraction(0)))
    assert all(abs(parts.get(key, 0) - share) < 1 for key, share in shares.items())


@given(
    cells, st.lists(st.integers(1, 40), max_size=4),
    st.lists(st.integers(0, 50), min_size=5, max_size=5),
)  # fmt: skip
def test_graduated_prices_are_those_of_each_unit(
    found: list[Cell], widths: list[int], prices: list[int]
) -> None:
    edges = [sum(widths[: at + 1]) for at in range(len(widths))]
    bands = [
        # So many pico a token are so many millionths of a dollar a million.
        {"prices": {IN: f"0.{price:06}"}} | ({"upto": str(edge)} if edge else {})
        for price, edge in zip(prices, [*edges, None], strict=False)
    ]
    what = convert({"type": "volume", "measured": [IN], "applies_to": [IN], "bands": bands},
                   VolumeTiers)  # fmt: skip
    effect = volume_effect(what, found, "t")
    volume = sum(cell.units[IN] for cell in found)
    oracle = sum(
        next((price for price, edge in zip(prices, edges, strict=False) if unit <= edge),
             prices[len(edges)])
        for unit in range(1, volume + 1)
    )  # fmt: skip
    charged = sum(cell.cost[IN] for cell in found)
    if volume:
        assert charged + sum(effect.amounts.values()) == oracle
    else:
        assert effect.amounts == {}


@given(cells, st.integers(0, 100), st.sampled_from(["graduated", "all_units"]))
def test_discounts_never_take_more_than_their_part(
    found: list[Cell], percent: int, mode: str
) -> None:
    what = convert({"type": "volume", "measured": "usd", "mode": mode, "bands": [
        {"upto": "0.000000000500"}, {"discount_percent": str(percent)}]}, VolumeTiers)  # fmt: skip
    spent = sum(cell.total for cell in found)
    counted = max(spent - 500, 0) if mode == "graduated" else spent * (spent > 500)
    taken = -sum(volume_effect(what, found, "t").amounts.values())
    assert taken == round(Fraction(counted * percent, 100))


@given(cells, st.integers(1, 100))
def test_a_quota_is_free_to_the_unit(found: list[Cell], units: int) -> None:
    same_rate = [cell._replace(cost={IN: 7 * cell.units[IN]}) for cell in found]
    effect = quota_effect(FreeQuota((IN,), units), same_rate)
    volume = sum(cell.units[IN] for cell in found)
    assert -sum(effect.amounts.values()) == 7 * min(volume, units)


moments = st.integers(ns_of(datetime(2027, 9, 1, tzinfo=UTC)) // 1000,
                      ns_of(datetime(2028, 6, 1, tzinfo=UTC)) // 1000)  # fmt: skip
prices = st.integers(1, 10**9).map(lambda pico: f"0.{pico:012}")


@given(
    st.lists(moments, max_size=12), prices, prices, st.sampled_from(["hour", "day", "month"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)  # fmt: skip
@settings(deadline=None)
def test_any_partition_of_a_term_sums_to_its_price(
    cuts: list[int], price: str, upfront: str, per: str, zone: str
) -> None:
    # Over the changes of daylight saving time, a leap day and the turn of a year.
    start, end = "2027-10-01T00:00:00Z", "2028-05-01T00:00:00Z"
    term = convert({"provider": "azure", "start": start, "end": end, "timezone": zone, "what": {
        "type": "capacity", "units": 3, "price_per_unit_usd": price, "per": per,
        "upfront_usd": upfront}}, Term)  # fmt: skip
    whole = Window(ns_of(term.start), ns_of(term.end or term.start))
    marks = sorted({whole.start_ns, whole.end_ns, *(
        cut * 1000 for cut in cuts if whole.start_ns < cut * 1000 < whole.end_ns)})  # fmt: skip
    parts = [capacity_cost("t", term, Window(*two)) for two in itertools.pairwise(marks)]
    assert sum(parts) == capacity_cost("t", term, whole)
    if per == "hour":
        hourly = 3 * int(price.partition(".")[2])
        hour_count = (whole.end_ns - whole.start_ns) // HOUR_NS
        assert sum(parts) == hourly * hour_count + int(upfront.partition(".")[2])


def test_months_of_a_zone_cost_the_same_whatever_hours_they_have() -> None:
    term = convert({"provider": "azure", "start": "2028-01-01T00:00:00Z", "timezone":
        "Europe/Berlin", "what": {"type": "capacity", "units": 7, "per": "month",
        "price_per_unit_usd": "1.000000000001"}}, Term)  # fmt: skip
    local = [datetime(2028, 2, 29, 23, tzinfo=UTC), datetime(2028, 3, 31, 22, tzinfo=UTC)]
    march = Window(*map(ns_of, local))
    assert len(list(hours(march))) == 743
    assert capacity_cost("t", term, march) == 7_000_000_000_007
    assert sum(capacity_cost("t", term, one) for one in hours(march)) == 7_000_000_000_007


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5000), st.sampled_from("abc")),
             max_size=20),
    st.integers(1, 10**13), st.sampled_from([None, 7]), st.sampled_from(["1", "0.3", "2.5"]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_used_and_idle_are_what_the_capacity_costs(
    calls: list[tuple[int, int, str]], pico: int, per_minute: int | None, weight: str
) -> None:
    price = f"{pico // 10**12}.{pico % 10**12:012}"
    term = convert({"provider": "azure", "start": "2026-08-01T00:00:00Z", "what": {
        "type": "capacity", "units": 5, "price_per_unit_usd": price,
        "tokens_per_minute_per_unit": per_minute, "weights": {IN: weight}}}, Term)  # fmt: skip
    start = datetime(2026, 8, 1)  # noqa: DTZ001 -- as wide_rows has hours
    found = [
        Cell(Key(who), {IN: count, OUT: 9}, {IN: count, OUT: 9},
             at=start.replace(hour=at % 24, day=1 + at // 24))
        for at, count, who in calls
    ]  # fmt: skip
    first = ns_of(start.replace(tzinfo=UTC))
    window = Window(first, first + 30 * HOUR_NS + 1_234_567_000)
    effect = capacity_effect("t", term, found, window)
    cost = sum(effect.used.values()) + sum(effect.idle.values())
    assert cost == capacity_cost("t", term, window)
    assert min([*effect.used.values(), *effect.idle.values(), 0]) == 0
    assert {kind for *_, kind in effect.covered} <= {IN}
    assert -sum(effect.covered.values()) == sum(count for _, count, _ in calls)
