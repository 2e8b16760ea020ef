from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.money import Rate
from tollbook.prices.card import RateCard, Rates, Step, make_card, rates_of
from tollbook.prices.rating import rate, rates_in_step
from tollbook.usage import KINDS, TOKEN_KINDS, Kinds

RATE = st.builds(
    Rate, st.integers(min_value=0, max_value=10**14), st.integers(min_value=1, max_value=10**7)
)
RATES = st.tuples(*[st.none() | RATE for _ in KINDS])
KIND_COUNTS = st.builds(Kinds, *[st.integers(min_value=0, max_value=10**7) for _ in KINDS])


def card(rates: Rates, steps: tuple[Step, ...] = ()) -> RateCard:
    return make_card(provider="p", model="m", source="contract", rates=rates, steps=steps)


STEPS = st.lists(
    st.builds(Step, st.integers(min_value=0, max_value=10**7), RATES, st.booleans()), max_size=3
).map(tuple)


@settings(deadline=None)
@given(RATES, STEPS, KIND_COUNTS)
def test_the_parts_are_the_rounded_products_and_sum_to_the_whole(
    rates: Rates, steps: tuple[Step, ...], kinds: Kinds
) -> None:
    priced = card(rates, steps)
    rated = rate(priced, kinds)
    in_step, _ = rates_in_step(priced, kinds.input_tokens)
    for quantity, own, component in zip(kinds, in_step, rated.components, strict=True):
        exact = Fraction(own.numerator * quantity, own.denominator) if own else Fraction(0)
        assert component == round(exact)  # round() of a Fraction is half to even
    assert rated.total == sum(rated.components)


@settings(deadline=None)
@given(RATES, KIND_COUNTS, st.sampled_from(range(len(KINDS))))
def test_one_unit_more_never_costs_less(rates: Rates, kinds: Kinds, at: int) -> None:
    more = kinds._replace(**{KINDS[at]: kinds[at] + 1})
    assert rate(card(rates), more).total >= rate(card(rates), kinds).total


@settings(deadline=None)
@given(RATES, KIND_COUNTS)
def test_every_used_kind_is_priced_or_named_as_unpriced(rates: Rates, kinds: Kinds) -> None:
    priced = card(rates)
    in_step, _ = rates_in_step(priced, kinds.input_tokens)
    missing = {
        kind
        for kind, quantity, own in zip(KINDS, kinds, in_step, strict=True)
        if quantity and own is None and kind != "requests"
    }
    pieces = {kind for kind, own in zip(KINDS, rates, strict=True) if own is not None}
    if not pieces & {*TOKEN_KINDS, "requests"} and not any(getattr(kinds, one) for one in pieces):
        missing |= pieces
    assert set(rate(priced, kinds).unpriced_kinds) == missing


def test_a_followed_rate_is_flagged_only_when_used() -> None:
    priced = card(rates_of({"uncached_input_tokens": Rate(3, 1)}))
    used = rate(priced, Kinds(cache_write_1h_tokens=7))
    assert used.components[KINDS.index("cache_write_1h_tokens")] == 21
    assert used.flags == ("cache_write_1h_tokens follows uncached_input_tokens",)
    assert rate(priced, Kinds(uncached_input_tokens=7)).flags == ()


def test_a_search_without_a_fee_is_unpriced_and_not_free() -> None:
    priced = card(rates_of({"uncached_input_tokens": Rate(3, 1)}))
    assert rate(priced, Kinds(web_search_requests=2)).unpriced_kinds == ("web_search_requests",)


def test_a_search_with_an_explicit_zero_is_free() -> None:
    priced = card(
        rates_of({"uncached_input_tokens": Rate(3, 1), "web_search_requests": Rate(0, 1)})
    )
    assert rate(priced, Kinds(web_search_requests=2)).unpriced_kinds == ()


def test_no_request_fee_is_no_fee() -> None:
    priced = card(rates_of({"uncached_input_tokens": Rate(3, 1)}))
    assert rate(priced, Kinds(1, requests=1)) == ((3, *[0] * (len(KINDS) - 1)), 3, (), ())


@pytest.mark.parametrize(
    ("is_inclusive", "input_tokens", "total"),
    [(False, 99, 99), (False, 100, 100), (False, 101, 202), (True, 99, 99), (True, 100, 200)],
)
def test_a_step_reprices_the_whole_call(is_inclusive: bool, input_tokens: int, total: int) -> None:  # noqa: FBT001 -- a table column
    step = Step(100, rates_of({"uncached_input_tokens": Rate(2, 1)}), is_inclusive)
    priced = card(rates_of({"uncached_input_tokens": Rate(1, 1)}), (step,))
    assert rate(priced, Kinds(input_tokens)).total == total


def test_cached_input_counts_towards_a_step() -> None:
    step = Step(
        100, rates_of({"uncached_input_tokens": Rate(2, 1), "cache_read_tokens": Rate(1, 1)})
    )
    priced = card(
        rates_of({"uncached_input_tokens": Rate(1, 1), "cache_read_tokens": Rate(0, 1)}), (step,)
    )
    assert rate(priced, Kinds(1, 99)).total == 1
    assert rate(priced, Kinds(1, 100)).total == 102


def test_the_highest_step_reached_applies() -> None:
    steps = tuple(
        Step(at, rates_of({"uncached_input_tokens": Rate(n, 1)})) for at, n in [(200, 3), (100, 2)]
    )
    priced = card(rates_of({"uncached_input_tokens": Rate(1, 1)}), steps)
    assert [rate(priced, Kinds(n)).total for n in (100, 200, 201)] == [100, 400, 603]


def test_a_model_billed_by_what_no_kind_counts_is_unpriced() -> None:
    reader = make_card(
        provider="mistral", model="ocr", source="genai-prices", rates=rates_of({}),
        uncounted=("input_document_kpages",),
    )  # fmt: skip
    assert rate(reader, Kinds()).unpriced_kinds == ("input_document_kpages",)


@pytest.mark.parametrize("kind", ["images", "audio_ms", "characters", "search_units"])
def test_pieces_without_a_rate_are_unpriced_and_not_free(kind: str) -> None:
    priced = card(rates_of({"uncached_input_tokens": Rate(3, 1)}))
    assert rate(priced, Kinds(1, **{kind: 2})).unpriced_kinds == (kind,)


@pytest.mark.parametrize("kind", ["images", "audio_ms", "characters", "search_units"])
def test_a_card_by_the_piece_prices_nothing_where_no_piece_was_counted(kind: str) -> None:
    priced = card(rates_of({kind: Rate(7, 1)}))
    assert rate(priced, Kinds(**{kind: 3})).total == 21
    assert rate(priced, Kinds()).unpriced_kinds == (kind,)


def test_an_unpriced_tier_is_flagged() -> None:
    fallback = make_card(
        provider="p", model="m", source="contract", service_tier="scale", is_tier_priced=False,
        rates=rates_of({"uncached_input_tokens": Rate(1, 1)}),
    )  # fmt: skip
    assert rate(fallback, Kinds(1)).flags == (
        "no price for service tier scale; the standard price is used",
    )


@pytest.mark.parametrize(("pico", "cost"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_exact_halves_go_to_the_even_pico(pico: int, cost: int) -> None:
    priced = card(rates_of({"uncached_input_tokens": Rate(pico, 2)}))
    assert rate(priced, Kinds(1)).total == cost == Rate(pico, 2).cost_pico(1)
