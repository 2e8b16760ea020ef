from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config import ConfigError
from tollbook.config.schema import PriceCard
from tollbook.prices import PriceBook, RateCard
from tollbook.prices import book as book_module

LISTS = {"openai": "openai", "deepseek": "deepseek", "azure-eu": "openai", "vllm": "vllm"}
CARDS = [
    PriceCard(
        provider="openai", model="gpt-4*", effective_from="2026-10-13",
        effective_until="2026-10-20", discount_percent=Decimal(10),
    ),
    PriceCard(
        provider="deepseek", model="deepseek-chat", effective_from="2026-10-14T10:00:00+02:00",
        discount_percent=Decimal(5),
    ),
    PriceCard(
        provider="openai", model="gpt-4o", effective_from="2026-10-15", input=Decimal(1),
        output=Decimal(2), effective_until="2026-10-16",
    ),
]  # fmt: skip
START = int(datetime(2026, 10, 9, tzinfo=UTC).timestamp()) * 10**9
HOUR = 3600 * 10**9


def new_book() -> PriceBook:
    return PriceBook(CARDS, "tollbook.toml", LISTS)


SHARED = new_book()


@settings(max_examples=150, deadline=None)
@given(
    provider=st.sampled_from([*LISTS, "unknown"]),
    model=st.sampled_from(["gpt-4o", "gpt-4.1", "deepseek-chat", "deepseek-v4-pro", "x", None]),
    tier=st.sampled_from([None, "default", "priority", "batch"]),
    hours=st.lists(st.integers(min_value=0, max_value=24 * 14), min_size=1, max_size=5),
)
def test_a_remembered_answer_is_the_one_a_new_book_gives(
    provider: str, model: str | None, tier: str | None, hours: list[int]
) -> None:
    for hour in hours:
        at_ns = START + hour * HOUR
        assert SHARED.resolve(provider, model, at_ns, tier) == new_book().resolve(
            provider, model, at_ns, tier
        )


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1", "gpt-5.4"])
@pytest.mark.parametrize("tier", [None, "priority", "batch"])
def test_windows_adjoin_and_every_answer_changes_only_at_an_edge(
    model: str, tier: str | None
) -> None:
    book = new_book()
    at_ns = START
    edges = 0
    while at_ns < START + 20 * 24 * HOUR:
        window = book.window("openai", model, at_ns, tier)
        assert window.from_ns <= at_ns < window.until_ns
        probes = [at_ns, (at_ns + min(window.until_ns, 2**62)) // 2, window.until_ns - 1]
        assert {book.window("openai", model, probe, tier) == window for probe in probes} == {True}
        at_ns = window.until_ns
        edges += 1
    assert edges > 1 or model == "gpt-5.4"


def test_cards_used_are_handed_out_once() -> None:
    book = new_book()
    first = book.resolve("openai", "gpt-4o", START, None)
    book.resolve("openai", "gpt-4o-2024-08-06", START, None)  # the same card by another name
    second = book.resolve("openai", "gpt-4.1", START, None)
    book.resolve("openai", "no-such-model", START, None)
    assert book.cards_used() == [first, second]
    book.resolve("openai", "gpt-4o", START, None)
    assert book.cards_used() == []


def test_a_provider_takes_the_list_it_is_configured_for() -> None:
    book = new_book()
    card = book.resolve("azure-eu", "gpt-4o", START, None)
    assert card is not None
    assert card.provider == "openai"
    assert book.resolve("vllm", "gpt-4o", START, None) is None
    # The contract is with "openai", not with everything that uses its list.
    contract = book.resolve("azure-eu", "gpt-4o", START + 24 * 5 * HOUR, None)
    assert contract == card


def test_a_list_that_does_not_exist_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError) as caught:
        PriceBook([], "t.toml", {"eu": "opnai"})
    assert caught.value.message == (
        "t.toml: providers.eu.list_prices: no list prices for 'opnai'; did you mean openai?"
    )


@pytest.mark.parametrize("model", [None, "", "m" * 10_000])
def test_what_is_no_model_name_has_no_price_and_is_not_kept(model: str | None) -> None:
    book = new_book()
    assert book.resolve("openai", model, START, None) is None
    assert not book._answers


def test_remembered_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "_ANSWERS_MAX", 10)
    book = new_book()
    for number in range(100):
        book.resolve("openai", f"model-{number}", START, None)
    assert len(book._answers) <= 10


def test_cards_round_trip_through_the_books() -> None:
    book = new_book()
    for provider, model in [("openai", "gpt-5.4"), ("deepseek", "deepseek-chat")]:
        for tier in (None, "priority", "nonsense tier"):
            book.resolve(provider, model, START + 6 * 24 * HOUR, tier)
    used = book.cards_used()
    assert len(used) == 6
    assert [RateCard.from_json(card.to_json()) for card in used] == used
