"""Cards of the books: which version holds when, and what each comes to."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config import ConfigError
from tollbook.config.schema import PriceCard
from tollbook.money import Rate
from tollbook.prices import BookPrices, PriceBook, rate
from tollbook.prices.bookcard import (
    BookCard,
    BookTextError,
    DatedCard,
    StepRates,
    body_of,
    card_of_body,
    stretches,
)
from tollbook.prices.contract_reader import read_card
from tollbook.prices.explain import describe, explain
from tollbook.prices.fx import FxBody, FxTable
from tollbook.prices.inforce import in_force
from tollbook.prices.listprices import ListPrices
from tollbook.prices.rating import MINIMUM_APPLIED, rates_in_step, step_edges, unit_prices
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from tollbook.prices import RateCard

PROVIDERS = {"openai": "openai", "house": "house"}
DAY_NS = 86_400 * 10**9
START_NS = 1_793_491_200 * 10**9  # 2026-11-01
INPUT, OUTPUT = KINDS.index("uncached_input_tokens"), KINDS.index("visible_output_tokens")


def card(**fields: Any) -> BookCard:
    plain = {"provider": "house", "model": "m-1", "effective_from": "2026-11-01", **fields}
    return msgspec.convert(plain, BookCard)


def version(
    number: int, given: BookCard, start: int = 0, end: int | None = None, name: str = "c"
) -> DatedCard:
    """A version that holds from a day on, counted from the first of November."""
    return DatedCard(
        name, number, START_NS + start * DAY_NS, None if end is None else START_NS + end * DAY_NS,
        body_of(given), f"price_card/{name}/{number}", f"reason {number}",
    )  # fmt: skip


def book(
    *versions: DatedCard, fx: FxTable | None = None, settings_cards: tuple[PriceCard, ...] = ()
) -> PriceBook:
    found = in_force(versions, PROVIDERS)
    assert found.problems == ()
    books = BookPrices(found.contracts, fx or FxTable())
    return PriceBook(settings_cards, "tollbook.toml", PROVIDERS, books)


def on(prices: PriceBook, day: int, model: str = "m-1", provider: str = "house") -> RateCard | None:
    return prices.resolve(provider, model, START_NS + day * DAY_NS, None)


def input_usd(found: RateCard | None) -> Fraction | None:
    if found is None:
        return None
    own = found.rates[INPUT]
    assert own is not None
    return Fraction(own.numerator * 10**6, own.denominator * 10**12)


intervals = st.tuples(st.integers(0, 30), st.none() | st.integers(1, 30)).filter(
    lambda pair: pair[1] is None or pair[1] > pair[0]
)


@settings(max_examples=150, deadline=None)
@given(dates=st.lists(intervals, max_size=8), at=st.integers(-1, 40))
def test_the_newest_version_whose_dates_cover_a_moment_holds(
    dates: list[tuple[int, int | None]], at: int
) -> None:
    versions = [
        version(number, card(input=str(number), output="1"), start, end)
        for number, (start, end) in enumerate(dates, 1)
    ]
    covering = [
        number for number, (start, end) in enumerate(dates, 1)
        if start <= at and (end is None or at < end)
    ]  # fmt: skip
    held = [
        one for one in stretches(versions)
        if one.from_ns <= START_NS + at * DAY_NS
        and (one.until_ns is None or START_NS + at * DAY_NS < one.until_ns)
    ]  # fmt: skip
    assert [one.card.version for one in held] == covering[-1:]
    found = on(book(*versions), at)
    assert input_usd(found) == (Fraction(covering[-1]) if covering else None)
    if found is not None:
        assert found.document == f"price_card/c/{covering[-1]}"


@settings(max_examples=60, deadline=None)
@given(
    cards=st.lists(
        st.tuples(
            st.sampled_from(["m-*", "m-1", "m-?", "*"]), st.sampled_from([None, "batch"]),
            st.booleans(), intervals,
        ),
        max_size=7,
    ),
    at=st.integers(0, 35),
    tier=st.sampled_from([None, "batch", "flex"]),
)  # fmt: skip
def test_of_any_cards_exactly_one_holds_or_none(
    cards: list[tuple[str, str | None, bool, tuple[int, int | None]]], at: int, tier: str | None
) -> None:
    """Whatever was kept, the answer is one card that matches, and the same in any order."""
    versions = []
    for number, (model, words, is_gone, (start, end)) in enumerate(cards, 1):
        prices = {"withdrawn": True} if is_gone else {"input": str(number), "output": "1"}
        tiered = {} if words is None else {"service_tier": words}
        given_card = card(model=model, **tiered, **prices)
        versions.append(version(1, given_card, start, end, name=f"card-{number}"))
    at_ns = START_NS + at * DAY_NS
    found = {
        None if (one := book(*order).resolve("house", "m-1", at_ns, tier)) is None else one.document
        for order in (versions, versions[::-1])
    }
    assert len(found) == 1
    fitting = {
        f"price_card/card-{number}/1"
        for number, (_, words, is_gone, (start, end)) in enumerate(cards, 1)
        if not is_gone and words in {None, tier} and start <= at and (end is None or at < end)
    }
    assert found <= fitting if fitting else found == {None}


def test_books_go_before_settings_and_a_withdrawn_card_leaves_them() -> None:
    own = PriceCard(
        provider="house", model="m-1", effective_from="2020-01-01", input=Decimal(9),
        output=Decimal(9),
    )  # fmt: skip
    prices = book(
        version(1, card(model="m-*", input="1", output="2")),
        version(2, card(model="m-*", withdrawn=True), 5),
        settings_cards=(own,),
    )
    assert [input_usd(on(prices, day)) for day in (-1, 0, 4, 5, 30)] == [9, 1, 1, 9, 9]


def test_a_price_for_a_while_lets_the_one_before_come_back_as_the_same_card() -> None:
    prices = book(
        version(1, card(input="1", output="2")), version(2, card(input="3", output="4"), 5, 7)
    )
    found = [on(prices, day) for day in (0, 5, 7)]
    assert [input_usd(one) for one in found] == [1, 3, 1]
    assert found[0] is not None
    assert found[2] is not None
    assert found[0].card_id == found[2].card_id


percents = st.decimals(min_value=0, max_value=100, places=3)
amounts = st.decimals(min_value=0, max_value=1000, places=6)


@settings(max_examples=80, deadline=None)
@given(discounts=st.lists(percents, max_size=4), usd=amounts, fx=st.none() | amounts)
def test_discounts_and_exchange_rates_are_exact(
    discounts: list[Decimal], usd: Decimal, fx: Decimal | None
) -> None:
    fields: dict[str, Any] = {"input": str(usd), "output": "1"}
    if discounts:
        fields["discounts_percent"] = [str(one) for one in discounts]
    table = FxTable()
    if fx is not None:
        fields["currency"] = "EUR"
        table = FxTable([FxBody(currency="EUR", rates={"2026-11-03": fx})])
    expected = Fraction(usd) * (1 if fx is None else Fraction(fx))
    for percent in discounts:
        expected *= 1 - Fraction(percent) / 100
    assert input_usd(on(book(version(1, card(**fields)), fx=table), 2)) == expected


def test_discounts_of_a_list_price_are_taken_one_after_the_other() -> None:
    prices = book(
        version(1, card(provider="openai", model="gpt-4o*", discounts_percent=["10", "5"]))
    )
    found, listed = (
        on(prices, 3, "gpt-4o-2024-08-06", "openai"),
        ListPrices().resolve("openai", "gpt-4o", START_NS, None).card,
    )
    assert found is not None
    assert listed is not None
    for mine, theirs in zip(found.rates, listed.rates, strict=True):
        if theirs is not None:
            assert mine is not None
            assert Fraction(*mine) == Fraction(*theirs) * Fraction(855, 1000)
    assert found.basis is not None
    assert found.basis.startswith("10 %, then 5 % off genai-prices ")


def test_each_day_has_its_own_rate_and_a_day_without_prices_nothing() -> None:
    table = FxTable([
        FxBody(
            currency="EUR", rates={"2026-11-01": Decimal("1.1"), "2026-11-02": Decimal("1.2")},
            carried=("2026-11-02",),
        )
    ])  # fmt: skip
    prices = book(version(1, card(input="2", output="8", currency="EUR")), fx=table)
    days = [on(prices, day) for day in (0, 1, 2, 0)]
    assert [input_usd(one) for one in days[:2]] == [Fraction("2.2"), Fraction("2.4")]
    assert days[3] == days[0]
    assert days[0] is not None
    assert days[1] is not None
    assert days[0].basis == "EUR at 1.1 USD of 2026-11-01"
    assert days[1].basis == "EUR at 1.2 USD of 2026-11-02 (the last quote before)"
    assert days[0].effective_until_ns == days[1].effective_from_ns == START_NS + DAY_NS
    last_moment = prices.resolve("house", "m-1", START_NS + DAY_NS - 1, None)
    assert last_moment == days[0]
    unknown = days[2]
    assert unknown is not None
    rated = rate(unknown, Kinds(5))
    assert rated.unpriced_kinds[0] == "EUR in USD on 2026-11-03"
    assert rate(unknown, Kinds()).unpriced_kinds == ("EUR in USD on 2026-11-03",)
    assert "no rate for EUR in USD on 2026-11-03" in describe(unknown).notes[0]


def test_steps_price_the_whole_call_and_keep_the_fees() -> None:
    prices = book(
        version(1, card(
            input="1", output="4", cache_read="0.5", requests="2",
            steps=[{"above": 1000, "input": "2", "output": "8", "cache_read": "1"},
                   {"above": 5000, "input": "3", "output": "9", "cache_read": "1"}],
        ))
    )  # fmt: skip
    found = on(prices, 0)
    assert found is not None
    assert step_edges(found) == (1000, 5000)
    assert rate(found, Kinds(1000)).total == 1000 * 10**6 + 2 * 10**9
    assert rate(found, Kinds(1, cache_read_tokens=1000)).total == 2 * 10**6 + 10**9 + 2 * 10**9
    rates, step = rates_in_step(found, 5001)
    assert step == 1
    assert rates[INPUT] == Rate.usd_per(3, 10**6)
    assert rates[KINDS.index("cache_write_5m_tokens")] == rates[INPUT]


def test_a_minimum_is_what_a_request_costs_at_least() -> None:
    prices = book(version(1, card(input="1", output="2", minimum_per_request="0.00001")))
    found = on(prices, 0)
    assert found is not None
    assert not found.is_free
    assert unit_prices(found, 0, Kinds(1)) is None
    small, large = rate(found, Kinds(1)), rate(found, Kinds(11))
    assert (small.total, large.total) == (10_000_000, 11_000_000)
    assert sum(small.components) == small.total
    assert small.flags == (MINIMUM_APPLIED,)
    assert large.flags == ()
    assert rate(found, Kinds(1, requests=0)).total == 1_000_000
    lines = explain(found, Kinds(1))
    assert [line.cost_usd for line in lines] == ["0.000001000000", "0.000009000000"]
    assert lines[1].note == "raised to the minimum of a request, 0.000010000000 USD"
    assert "at least 0.000010000000 USD" in describe(found).notes[0]


def test_a_minimum_alone_goes_on_top_of_the_list_price() -> None:
    prices = book(
        version(1, card(provider="openai", model="gpt-4o", minimum_per_request="0.5"))
    )  # fmt: skip
    found = on(prices, 0, "gpt-4o", "openai")
    assert found is not None
    assert rate(found, Kinds(1)).total == 5 * 10**11


@given(
    st.builds(
        lambda price, percents, step: card(
            input=str(price), output=str(price), discounts_percent=[str(one) for one in percents],
            **({"steps": [{"above": 5, "input": str(step), "output": "1"}]} if step else {}),
        ),
        amounts, st.lists(percents, max_size=3), st.none() | amounts,
    )
)  # fmt: skip
def test_a_body_is_read_as_it_was_written_and_equal_cards_have_equal_bodies(one: BookCard) -> None:
    again = card_of_body("c", body_of(one))
    assert again == one
    assert body_of(again) == body_of(one)


def test_numbers_that_are_equal_are_written_alike() -> None:
    bodies = {
        body_of(card(input=text, output="1")) for text in ("2.50", "2.5", "25E-1", "002.5")
    }  # fmt: skip
    assert len(bodies) == 1
    assert '"input":"0"' in body_of(card(input="-0.0", output="1"))
    with pytest.raises(BookTextError, match=r"price card 'c' in the books"):
        card_of_body("c", '{"colour": 1}')


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "has no price"),
        ({"input": "1", "output": "1", "currency": "eur"}, r"currency: 'eur' is not three"),
        ({"discount_percent": "5", "currency": "EUR"}, r"currency: needs own rates"),
        ({"input": "1", "discounts_percent": ["101"]}, r"discounts_percent: 101 is not between"),
        ({"discount_percent": "5", "discounts_percent": ["1"]}, "expected either this or"),
        ({"input": "1", "minimum_per_request": "-1"}, r"minimum_per_request: -1 is no price"),
        ({"input": "1", "withdrawn": True}, r"withdrawn: expected no prices"),
        ({"discount_percent": "5", "steps": [{"above": 5}]}, r"steps: need own rates"),
        ({"input": "1", "steps": [{"above": 0, "input": "1"}]}, r"steps\[0\].above: expected more"),
        ({"input": "1", "steps": [{"above": 9}]}, r"steps\[0\].input: is missing"),
        ({"input": "1", "steps": [{"above": 9, "input": "1", "output": "2"}]},
         r"steps\[0\].output: the card itself has no rate"),
        ({"input": "1", "steps": [{"above": 9, "input": "1"}, {"above": 9, "input": "2"}]},
         r"steps\[1\].above: expected more than 9"),
        ({"input": "2000000", "currency": "EUR"}, r"over 1 EUR for one token; expected EUR per"),
        ({"input": "1", "steps": [{"above": 9, "input": "-1"}]}, r"steps\[0\].input: -1 is no pri"),
        ({"provider": "nobody", "input": "1"}, r"provider: no provider 'nobody'"),
        ({"input": "1", "effective_until": "2026-01-01"}, r"effective_until: expected a time"),
    ],
)  # fmt: skip
def test_a_card_that_cannot_be_used_says_which_field(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"f\.csv: line 3.*{problem}"):
        read_card(card(**fields), "f.csv", "line 3", PROVIDERS)


def test_a_card_of_a_provider_that_is_gone_is_a_problem_in_words_and_prices_nothing() -> None:
    found = in_force(
        [version(1, card(provider="openai", input="1")), version(1, card(input="1"), name="d")],
        {"house": "house"},
    )
    assert [one.name for one in found.contracts] == ["d"]
    assert found.problems == ("the books: c.provider: no provider 'openai'; expected one of house",)


def test_what_the_list_has_of_a_step_is_what_a_card_may_say() -> None:
    assert set(StepRates.__struct_fields__) - {"above"} <= set(BookCard.__struct_fields__)
