"""Savings are what the ledger's own pricing says, call by call; nothing negative is claimed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.insights.insights_kit import NOW, World, ns_of

from tollbook.books.store import open_books
from tollbook.config import Config
from tollbook.config.schema import PriceCard
from tollbook.insights.cache_rules import prefix_tokens_min
from tollbook.insights.smaller_models import smaller_model
from tollbook.money import pico_from_usd
from tollbook.prices.rating import rate, rates_in_step
from tollbook.usage import KINDS, Kinds

if TYPE_CHECKING:
    from pathlib import Path

CHEAP = "acme-small"
"""A model whose contract has fractions of a pico for a token, so that each call is rounded."""
START = NOW - timedelta(days=20)
CHANGE = "2026-11-10"
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example asks a database: making a failure smaller would take minutes."""


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory: Path = tmp_path_factory.mktemp("contracts")
    config = Config(
        prices=[
            PriceCard(
                provider="openai", model=CHEAP, input=Decimal("0.0000001"),
                output=Decimal("0.1234567"), effective_from="2020-01-01", effective_until=CHANGE,
            ),
            PriceCard(
                provider="openai", model=CHEAP, input=Decimal("0.02"), output=Decimal("0.08"),
                effective_from=CHANGE,
            ),
        ]
    )  # fmt: skip
    with open_books(directory) as books:
        world = World(books, directory, config)
        yield world
        world.close()


CALLS = st.lists(
    st.tuples(
        st.integers(0, 18 * 24), st.sampled_from(["chat", "search"]),
        st.sampled_from(["gpt-4o", "gpt-4.1"]),
        st.fixed_dictionaries({
            "uncached_input_tokens": st.integers(0, 300_000),
            "cache_read_tokens": st.integers(0, 9000),
            "visible_output_tokens": st.integers(1, 300),
            "reasoning_tokens": st.sampled_from([0, 0, 40]),
            "images": st.sampled_from([0, 0, 0, 2]),
        }).map(lambda kinds: Kinds(**kinds)),
        st.booleans(),
    ),
    min_size=1, max_size=10,
)  # fmt: skip


@settings(
    phases=_PHASES, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(calls=CALLS, target=st.sampled_from([CHEAP, "gpt-4o-mini"]))
def test_right_sizing_is_what_each_call_would_have_been_charged(
    contracts: World, calls: list[tuple[int, str, str, Kinds, bool]], target: str
) -> None:
    contracts.clear()
    expected: dict[tuple[str, str], tuple[int, int]] = {}
    rows, unpriced = [], 0
    for hours, feature, model, kinds, is_reversed in calls:
        at = START + timedelta(hours=hours)
        plain = kinds._replace(images=0)  # the models asked for have no price for images
        row = contracts.call(at, model, plain, feature=feature)
        row |= dict(zip(KINDS, kinds, strict=True))
        rows.append(row)
        if is_reversed:
            rows.append(contracts.reversal(row))
            continue
        card = contracts.prices.resolve("openai", target, ns_of(at), None)
        assert card is not None
        rated = rate(card, kinds)
        if rated.unpriced_kinds:
            unpriced += 1
            continue
        cost, other = expected.get((feature, model), (0, 0))
        expected[feature, model] = (cost + pico_from_usd(row["cost_usd"]), other + rated.total)
    contracts.add(*rows)
    answer = contracts.ask("right_sizing", target=target, calls_min=1, output_max=1000)
    found = {
        (row["feature"], row["model"]): (
            pico_from_usd(row["cost_usd"]), pico_from_usd(row["target_cost_usd"])
        )
        for row in answer["rows"] if row["calls"]
    }  # fmt: skip
    assert found == expected
    assert answer["totals"]["unpriced_calls"] == unpriced
    positive = sum(cost - other for cost, other in expected.values() if cost > other)
    assert pico_from_usd(answer["totals"]["saving_usd"]) == positive
    assert pico_from_usd(answer["at_stake_usd"]) == positive


def test_large_answers_and_few_calls_are_no_candidates(world: World) -> None:
    for number, feature, wrote in ((25, "long", 900), (5, "rare", 10), (25, "short", 10)):
        world.add(
            *(
                world.call(
                    START, "gpt-4o", Kinds(1000, visible_output_tokens=wrote), feature=feature
                )
                for _ in range(number)
            )
        )
    answer = world.ask("right_sizing")
    assert [(row["feature"], row["target"]) for row in answer["rows"]] == [("short", "gpt-4o-mini")]
    assert "extraction" not in answer["headline"]
    assert answer["totals"]["calls"] == 25


def test_a_target_without_a_price_saves_nothing_and_says_so(world: World) -> None:
    world.add(*(world.call(START, "gpt-4o", Kinds(10, visible_output_tokens=1)) for _ in range(20)))
    answer = world.ask("right_sizing", target="no-such-model")
    (row,) = answer["rows"]
    assert (row["unpriced_calls"], row["why_unpriced"]) == (20, "no price for this model")
    assert answer["totals"]["saving_usd"] == "0.000000000000"


@pytest.mark.parametrize(
    ("model", "smaller"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o-mini"), ("gpt-4o-mini", None), ("gpt-5-mini", None),
        ("claude-sonnet-4-5-20250929", "claude-haiku-4-5"), ("claude-haiku-4-5", None),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0",
         "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("gemini-2.5-flash-lite", None), ("text-embedding-3-large", None),
    ],
)  # fmt: skip
def test_smaller_models(model: str, smaller: str | None) -> None:
    assert smaller_model(model) == smaller


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-opus-4-5-20251101", 4096), ("claude-haiku-4-5", 4096), ("claude-sonnet-4-5", 1024),
        ("claude-sonnet-4-6", 2048), ("claude-3-5-haiku-latest", 2048), ("claude-opus-4-1", 1024),
        ("gpt-4o-mini", 1024), ("gemini-2.5-pro", 2048), ("gemini-3-pro-preview", 4096),
        ("text-embedding-3-small", None),
    ],
)  # fmt: skip
def test_least_prefixes(model: str, tokens: int | None) -> None:
    assert prefix_tokens_min(model) == tokens


SEEN = st.lists(
    st.tuples(
        st.integers(0, 1200), st.sampled_from(["claude-sonnet-4-5", "gpt-4o", "gpt-3.5-turbo"]),
        st.sampled_from(["p1", "p2"]), st.integers(0, 4000), st.integers(0, 3000),
        st.sampled_from([0, 0, 2000]),
    ),
    min_size=1, max_size=14, unique_by=lambda one: one[0],
)  # fmt: skip


@settings(
    phases=_PHASES, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(SEEN)
def test_caching_saves_what_reading_would_have_less_what_writing_would(
    shared_world: World, seen: list[tuple[int, str, str, int, int, int]]
) -> None:
    shared_world.clear()
    savings: dict[tuple[str, str, str], int] = {}
    last: dict[tuple[str, str, str], int] = {}
    rows = []
    for second, model, prefix, fresh, read, written in sorted(seen):
        at = START + timedelta(seconds=second)
        provider = "anthropic" if model.startswith("claude") else "openai"
        kinds = Kinds(fresh, read, written if provider == "anthropic" else 0)
        rows.append(
            shared_world.call(
                at,
                model,
                kinds,
                feature="f",
                provider=provider,
                prefix_hash=prefix,
                prefix_chars=9000,
                layer_weights="[0,3,6,1]",
            )
        )
        # Three quarters of the input is the system prompt: 9,000 characters of 12,000 in all.
        tokens = min(kinds.input_tokens, 9000 * kinds.input_tokens // 4)
        minimum = prefix_tokens_min(model)
        if minimum is None or tokens < minimum:
            continue
        key = (provider, model, prefix)
        is_repeat = key in last and second - last[key] <= 300
        last[key] = second
        full = max(0, min(fresh, tokens - read - kinds.cache_write_5m_tokens))
        rates, _ = rates_in_step(shared_world.card(model, at, provider), kinds.input_tokens)
        paid, reading, writing = rates[0], rates[1], rates[2]
        assert paid is not None
        assert reading is not None
        assert writing is not None
        saved = (
            paid.cost_pico(full) - reading.cost_pico(full) if is_repeat
            else paid.cost_pico(full) - writing.cost_pico(full)
        )  # fmt: skip
        savings[key] = savings.get(key, 0) + saved
    shared_world.add(*rows)
    answer = shared_world.ask("cache_opportunity")
    found = {
        (row["provider"], row["model"], row["prefix"]): pico_from_usd(row["saving_usd"])
        for row in answer["rows"]
    }
    assert found == {key: amount for key, amount in savings.items() if amount > 0}
    assert all(amount > 0 for amount in found.values())
    assert pico_from_usd(answer["at_stake_usd"]) == sum(found.values())
    worth_none = sum(amount <= 0 for amount in savings.values())
    assert answer["totals"]["not_worth_prefixes"] == worth_none


def test_reversed_calls_are_no_opportunity(world: World) -> None:
    rows = [
        world.call(
            START + timedelta(seconds=at), "gpt-4o", Kinds(4000), prefix_hash="p",
            prefix_chars=9000, layer_weights="[0,9000,6,10]",
        )
        for at in range(3)
    ]  # fmt: skip
    world.add(*rows)
    assert world.ask("cache_opportunity")["totals"]["calls"] == 3
    world.add(*(world.reversal(row) for row in rows))
    answer = world.ask("cache_opportunity")
    assert answer["rows"] == []
    assert answer["at_stake_usd"] == "0.000000000000"
