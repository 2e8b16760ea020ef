from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config.schema import PriceCard
from tollbook.money import Rate, usd_text
from tollbook.prices import PriceBook, describe, explain, rate
from tollbook.prices.card import Step, make_card, rates_of
from tollbook.usage import KINDS, Kinds

NOW = 1_795_177_800 * 10**9  # 2026-11-20 12:30 UTC


def test_each_line_can_be_checked_by_hand() -> None:
    card = PriceBook([], "t", {"anthropic": "anthropic"}).resolve(
        "anthropic", "claude-sonnet-4-5", NOW, None
    )
    assert card is not None
    kinds = Kinds(
        150_000, 50_000, 0, 1, visible_output_tokens=10, reasoning_tokens=4, web_search_requests=2
    )
    lines = {line.kind: line for line in explain(card, kinds)}
    cached = lines["cache_read_tokens"]
    assert cached.rate == "0.6 USD per MTok"
    assert cached.step == "over 200000 input tokens"
    assert cached.product == "0.03"
    assert cached.cost_usd == "0.030000000000"
    assert cached.note is None
    assert lines["reasoning_tokens"].note == "follows visible_output_tokens"
    assert lines["web_search_requests"].rate == "10 USD per 1000"
    assert lines["web_search_requests"].product == "0.02"
    assert list(lines) == [kind for kind in KINDS if kind in lines]
    assert "requests" not in lines


def test_no_step_below_its_threshold() -> None:
    card = make_card(
        provider="p", model="m", source="contract", rates=rates_of({}),
        steps=(Step(10, rates_of({"uncached_input_tokens": Rate(1, 1)}), is_inclusive=True),),
    )  # fmt: skip
    assert [line.step for line in explain(card, Kinds(9))] == [None]
    assert [line.step for line in explain(card, Kinds(10))] == ["from 10 input tokens"]


def test_a_kind_without_a_rate_says_that_its_cost_is_unknown() -> None:
    card = make_card(provider="p", model="m", source="contract", rates=rates_of({}))
    (line,) = explain(card, Kinds(web_search_requests=1))
    assert (line.rate, line.product, line.cost_usd) == (None, None, None)
    assert line.note == "no rate for this kind; its cost is unknown"


def test_a_product_finer_than_a_pico_is_shown_unrounded() -> None:
    rates = rates_of({"uncached_input_tokens": Rate(1, 8), "cache_read_tokens": Rate(1, 3)})
    card = make_card(provider="p", model="m", source="contract", rates=rates)
    eighth, third = explain(card, Kinds(1, 1))
    assert eighth.product == "0.000000000000125"
    assert eighth.cost_usd == "0.000000000000"
    assert third.product == "1/3000000000000"


@settings(deadline=None)
@given(
    st.tuples(
        *[
            st.none()
            | st.builds(Rate, st.integers(0, 10**12), st.sampled_from([1, 2, 5, 8, 10**6]))
            for _ in KINDS
        ]
    ),
    st.builds(Kinds, *[st.integers(min_value=0, max_value=10**6) for _ in KINDS]),
)
def test_the_lines_sum_to_the_total_and_products_are_exact(
    rates: tuple[Rate | None, ...], kinds: Kinds
) -> None:
    card = make_card(provider="p", model="m", source="contract", rates=rates)
    lines = explain(card, kinds)
    costs = [Decimal(line.cost_usd) for line in lines if line.cost_usd is not None]
    assert sum(costs) == Decimal(usd_text(rate(card, kinds).total))
    for line in lines:
        if line.product is not None and line.cost_usd is not None:
            off = abs(Fraction(line.product) - Fraction(line.cost_usd))
            assert off <= Fraction(1, 2 * 10**12)


def test_a_summary_says_where_the_price_comes_from_and_when_it_applies() -> None:
    discount = PriceCard(
        provider="deepseek", model="deepseek-*", effective_from="2026-11-01",
        effective_until="2027-01-01", discount_percent=Decimal(10), reason="order form 7",
    )  # fmt: skip
    card = PriceBook([discount], "t", {"deepseek": "deepseek"}).resolve(
        "deepseek", "deepseek-chat", NOW, "priority"
    )
    assert card is not None
    summary = describe(card)
    assert summary.source.startswith("contract: 10 % off genai-prices ")
    assert summary.effective_from == "2026-11-01T00:00:00+00:00"
    assert summary.effective_until == "2027-01-01T00:00:00+00:00"
    assert summary.daily == "10:00:00 to 24:00:00 UTC"
    assert summary.service_tier == "priority"
    assert summary.reason == "order form 7"
    assert summary.notes == ("no price for service tier priority; the standard price is used",)


def test_a_summary_of_an_open_card_and_of_one_with_prices_that_no_kind_has() -> None:
    card = PriceBook([], "t", {"openai": "openai"}).resolve("openai", "gpt-4o", NOW, None)
    assert card is not None
    summary = describe(card)
    assert (summary.effective_from, summary.effective_until, summary.daily) == (None, None, None)
    assert summary.service_tier == "standard"
    assert summary.notes == ()
    listed = make_card(
        provider="p", model="m", source="genai-prices", rates=rates_of({}),
        uncounted=("input_document_kpages",),
    )  # fmt: skip
    assert describe(listed).notes == (
        "also priced by the source, not counted here: input_document_kpages",
    )
