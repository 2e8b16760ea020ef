from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.money import Rate
from tollbook.prices.card import (
    CardTextError,
    DailyWindow,
    RateCard,
    Step,
    effective_rates,
    make_card,
    rates_of,
)
from tollbook.usage import FEE_KINDS, KINDS

RATE = st.builds(
    Rate, st.integers(min_value=0, max_value=10**14), st.integers(min_value=1, max_value=10**6)
)
RATES = st.tuples(*[st.none() | RATE for _ in KINDS])
CARDS = st.builds(
    make_card,
    provider=st.text(max_size=5),
    model=st.text(max_size=5),
    source=st.sampled_from(["contract", "genai-prices 0.2.3"]),
    rates=RATES,
    steps=st.lists(
        st.builds(Step, st.integers(min_value=0, max_value=10**6), RATES, st.booleans()), max_size=2
    ).map(tuple),
    effective_from_ns=st.none() | st.integers(min_value=-(2**62), max_value=2**62),
    effective_until_ns=st.none() | st.integers(min_value=-(2**62), max_value=2**62),
    daily_window=st.none() | st.builds(DailyWindow, st.just(0), st.just(10**9)),
    service_tier=st.none() | st.just("flex"),
    reason=st.none() | st.text(max_size=5),
)


def card(**rates: Rate) -> RateCard:
    return make_card(provider="openai", model="m", source="contract", rates=rates_of(rates))


@settings(deadline=None)
@given(CARDS)
def test_json_keeps_a_card_exactly(any_card: RateCard) -> None:
    assert RateCard.from_json(any_card.to_json()) == any_card


def test_json_rates_are_pairs_of_integers() -> None:
    text = json.loads(card(uncached_input_tokens=Rate(5, 3)).to_json())
    assert text["rates"][0] == [5, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "azure"},
        {"model": "n"},
        {"source": "genai-prices 0.2.3"},
        {"rates": rates_of({"uncached_input_tokens": Rate(2, 1)})},
        {"rates": rates_of({"uncached_input_tokens": Rate(1, 1), "requests": Rate(0, 1)})},
        {"steps": (Step(10, rates_of({})),)},
        {"effective_from_ns": 1},
        {"daily_window": DailyWindow(0, 1)},
        {"service_tier": "flex"},
        {"is_tier_priced": False},
    ],
)
def test_id_changes_with_whatever_prices(change: dict[str, object]) -> None:
    base: dict[str, object] = {
        "provider": "openai",
        "model": "m",
        "source": "contract",
        "rates": rates_of({"uncached_input_tokens": Rate(1, 1)}),
    }
    assert make_card(**base).card_id != make_card(**{**base, **change}).card_id  # type: ignore[arg-type]


def test_id_stays_when_only_the_end_the_list_version_or_the_reason_changes() -> None:
    rates = rates_of({"uncached_input_tokens": Rate(1, 1)})
    first = make_card(provider="openai", model="m", source="genai-prices 0.2.3", rates=rates)
    later = make_card(
        provider="openai", model="m", source="genai-prices 0.3.0", rates=rates,
        effective_until_ns=5, reason="superseded",
    )  # fmt: skip
    assert first.card_id == later.card_id
    assert len(first.card_id) == 16


def test_a_changed_card_is_refused() -> None:
    text = card(uncached_input_tokens=Rate(5, 1)).to_json().replace(b"[5,1]", b"[4,1]")
    with pytest.raises(CardTextError, match="was changed after it was written"):
        RateCard.from_json(text)


def test_a_card_with_too_few_rates_is_refused() -> None:
    text = json.loads(card(uncached_input_tokens=Rate(5, 1)).to_json())
    text["rates"] = text["rates"][:3]
    with pytest.raises(CardTextError, match="one rate for each token kind"):
        RateCard.from_json(json.dumps(text))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"nonsense", b"\xff"])
def test_what_is_no_card_is_refused(text: bytes) -> None:
    with pytest.raises(CardTextError):
        RateCard.from_json(text)


def test_kinds_without_a_rate_follow_the_nearest_that_has_one() -> None:
    priced = card(
        uncached_input_tokens=Rate(3, 1), cache_write_5m_tokens=Rate(4, 1),
        visible_output_tokens=Rate(15, 1),
    )  # fmt: skip
    assert priced.inherited == {
        "cache_read_tokens": "uncached_input_tokens",
        "cache_write_1h_tokens": "cache_write_5m_tokens",
        "input_audio_tokens": "uncached_input_tokens",
        "cache_read_audio_tokens": "uncached_input_tokens",
        "input_image_tokens": "uncached_input_tokens",
        "cache_read_image_tokens": "uncached_input_tokens",
        "input_video_tokens": "uncached_input_tokens",
        "reasoning_tokens": "visible_output_tokens",
        "output_audio_tokens": "visible_output_tokens",
        "output_image_tokens": "visible_output_tokens",
        "citation_tokens": "visible_output_tokens",
    }
    assert effective_rates(priced, priced.rates)[KINDS.index("cache_write_1h_tokens")] == Rate(4, 1)


def test_fees_and_kinds_with_nothing_to_follow_stay_without_a_rate() -> None:
    priced = card(uncached_input_tokens=Rate(3, 1))
    rates = dict(zip(KINDS, effective_rates(priced, priced.rates), strict=True))
    assert rates["visible_output_tokens"] is None
    assert rates["reasoning_tokens"] is None
    assert [kind for kind in FEE_KINDS if rates[kind] is not None] == []


def test_an_explicit_zero_is_free_and_not_missing() -> None:
    free = card(uncached_input_tokens=Rate(0, 1), cache_read_tokens=Rate(0, 1))
    assert free.is_free
    assert "cache_read_tokens" not in free.inherited
    assert not card(uncached_input_tokens=Rate(0, 1), cache_read_tokens=Rate(1, 1)).is_free
    assert not card().is_free


def test_a_card_whose_step_costs_is_not_free() -> None:
    zero = rates_of({"uncached_input_tokens": Rate(0, 1)})
    step = Step(100, rates_of({"uncached_input_tokens": Rate(1, 1)}))
    stepped = make_card(provider="p", model="m", source="contract", rates=zero, steps=(step,))
    assert not stepped.is_free
