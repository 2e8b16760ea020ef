"""Splitting by layer: sums are exact, caches are prefixes, one by one is as all at once."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tollbook.call import Call, CallClosed, CallOpened, Evidence, Identity, Metering, Status
from tollbook.layers import LAYER_COSTS, LAYER_OF, LAYER_TOKENS, LAYERS, Section
from tollbook.ledger.bulkprice import price_calls
from tollbook.ledger.charge import charge_of
from tollbook.ledger.columns import charge_columns
from tollbook.ledger.layersplit import (
    PROMPT_ORDER,
    LayerSplit,
    layer_at,
    sections,
    split_layers,
    weights_of,
)
from tollbook.ledger.layersplit_bulk import LayerTable
from tollbook.ledger.store import entry_table
from tollbook.money import Rate, split_pico
from tollbook.prices.card import RateCard, Step, make_card
from tollbook.usage import INPUT_KINDS, KINDS, OUTPUT_KINDS, TOKEN_KINDS, Kinds

_RESPONSE, _UNSPLIT = LAYERS.index("response"), LAYERS.index("unsplit")
_section = st.sampled_from([*map(int, Section), *map(int, Section), 9, -1])
_weight = st.sampled_from([0, 0, 1, 2, 3, 7, 10, 999, 2**25, 2**40]) | st.integers(0, 5000)
_runs = st.lists(st.tuples(_section, _weight), max_size=9)
_many_runs = st.lists(st.tuples(_section, _weight), min_size=33, max_size=40)
_good = (_runs | _many_runs).map(lambda runs: tuple(chain.from_iterable(runs)))
_weights = (
    st.none() | _good | st.sampled_from([(0,), (0, 1, 2), (0, -1), (0, -1, 1, 5), (0, 2**70)])
)
_tokens = st.sampled_from([0, 0, 0, 1, 2, 5]) | st.integers(0, 40)
_large = _tokens | st.sampled_from([10**6, 2**31, 10**15])


def _kinds_of(count: st.SearchStrategy[int]) -> st.SearchStrategy[Kinds]:
    return st.dictionaries(st.sampled_from(KINDS), count, max_size=8).map(
        lambda some: Kinds(**some)
    )


_components = st.dictionaries(
    st.sampled_from(KINDS), st.sampled_from([1, 2, 3]) | st.integers(0, 10**20), max_size=8
).map(lambda some: tuple(some.get(kind, 0) for kind in KINDS))


def _token_by_token(
    weights: tuple[int, ...] | None, kinds: Kinds, components: tuple[int, ...]
) -> LayerSplit:
    """Say the same by writing every token of the prompt out, as slowly as it is plain."""
    pairs = list(zip(weights[::2], weights[1::2], strict=True)) if weights else []
    whole = sum(weight for _, weight in pairs)
    if not whole:
        pairs, whole = [(int(Section.OTHER), 1)], 1
    total = kinds.input_tokens
    exact = [Fraction(total * weight, whole) for _, weight in pairs]
    given = [share.numerator // share.denominator for share in exact]
    while sum(given) < total:
        best = max(range(len(pairs)), key=lambda at: (exact[at] - given[at], -at))
        given[best] += 1
    names = [
        LAYER_OF[Section(section)] if section in list(Section) else "unsplit"
        for section, _ in pairs
    ]
    prompt = [name for name, count in zip(names, given, strict=True) for _ in range(count)]
    tokens, costs = dict.fromkeys(LAYERS, 0), dict.fromkeys(LAYERS, 0)
    at = 0
    for kind in PROMPT_ORDER:
        count, cost = getattr(kinds, kind), components[KINDS.index(kind)]
        piece = prompt[at : at + count]
        at += count
        if not piece:
            costs["unsplit"] += cost
            continue
        by_layer = [piece.count(layer) for layer in LAYERS]
        for layer, n, share in zip(LAYERS, by_layer, split_pico(cost, by_layer), strict=True):
            tokens[layer] += n
            costs[layer] += share
    for kind in OUTPUT_KINDS:
        tokens["response"] += getattr(kinds, kind)
        costs["response"] += components[KINDS.index(kind)]
    for kind in KINDS[len(TOKEN_KINDS) :]:
        costs["unsplit"] += components[KINDS.index(kind)]
    return LayerSplit(tuple(tokens.values()), tuple(costs.values()))


@settings(deadline=None, max_examples=100)
@given(_good, _kinds_of(_tokens), _components)
def test_equals_what_every_token_written_out_says(
    weights: tuple[int, ...], kinds: Kinds, components: tuple[int, ...]
) -> None:
    assert split_layers(weights, kinds, components) == _token_by_token(weights, kinds, components)


@settings(deadline=None, max_examples=150)
@given(_weights, _kinds_of(_large), _components)
def test_layers_sum_to_the_call(
    weights: tuple[int, ...] | None, kinds: Kinds, components: tuple[int, ...]
) -> None:
    tokens, costs = split_layers(weights, kinds, components)
    assert tokens is not None
    assert costs is not None
    assert tokens[_RESPONSE] == kinds.output_tokens
    assert sum(tokens) - tokens[_RESPONSE] == kinds.input_tokens
    assert sum(costs) == sum(components)
    assert min(tokens) >= 0
    assert min(costs) >= 0
    outputs = components[len(INPUT_KINDS) : len(TOKEN_KINDS)]
    assert costs[_RESPONSE] == sum(outputs)
    assert costs[_UNSPLIT] >= sum(components[len(TOKEN_KINDS) :])


@given(_good, st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_more_from_the_cache_never_moves_cached_tokens_to_the_back(
    weights: tuple[int, ...], input_tokens: int, one: int, other: int
) -> None:
    few, many = sorted((min(one, input_tokens), min(other, input_tokens)))

    def cached(count: int) -> list[int]:
        kinds = Kinds(uncached_input_tokens=input_tokens - count, cache_read_tokens=count)
        return [each.by_kind[0] for each in sections(weights, kinds)]

    with_few, with_many = cached(few), cached(many)
    whole = [each.tokens for each in sections(weights, Kinds(input_tokens))]
    for at, (less, more, all_) in enumerate(zip(with_few, with_many, whole, strict=True)):
        assert less <= more <= all_
        if more:  # everything before it is wholly from the cache
            assert with_many[:at] == whole[:at]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(_weights, _kinds_of(_large)), min_size=1, max_size=8),
    st.lists(st.integers(0, 1000), min_size=len(KINDS), max_size=len(KINDS)),
    st.data(),
)
def test_all_at_once_is_each_alone(
    calls: list[tuple[tuple[int, ...] | None, Kinds]], rates: list[int], data: st.DataObject
) -> None:
    kinds = np.array([one for _, one in calls], np.int64)
    by_call = np.array([rates] * len(calls), np.int64)
    parts = kinds * by_call
    alone = data.draw(st.lists(st.integers(0, len(calls) - 1), unique=True))
    for at in alone:  # components that are no product
        by_call[at] = 0
        parts[at] = data.draw(_components.map(lambda all_: [one % 10**15 for one in all_]))
    table = LayerTable([weights for weights, _ in calls], kinds, by_call, parts, alone)
    for at, (weights, one) in enumerate(calls):
        wanted = split_layers(weights, one, tuple(parts[at].tolist()))
        assert (tuple(table.tokens[at].tolist()), tuple(table.costs[at].tolist())) == wanted


_RATE = st.none() | st.builds(
    Rate, st.sampled_from([0, 1, 75_000, 2_500_000, 10**10, 10**14]), st.sampled_from([1, 1, 3])
)
_RATES = st.lists(_RATE, min_size=len(KINDS), max_size=len(KINDS)).map(tuple)
_CARD = st.builds(
    lambda rates, steps: make_card(
        provider="p", model="m", source="contract", rates=rates, steps=tuple(steps)
    ),
    _RATES,
    st.lists(st.builds(Step, st.integers(0, 40), _RATES, st.booleans()), max_size=1),
)
_USAGE = b'{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}'


@st.composite
def _calls(draw: st.DrawFn) -> Call:
    counts = tuple(draw(st.sampled_from([0, 1, 7, 40, 1000, 10**12])) for _ in range(3))
    opened = CallOpened(
        bytes(16), 1_790_000_000_000_000_123, Identity(), "p", "openai", "chat",
        draw(st.sampled_from([*[Metering.METERED] * 5, Metering.FREE, Metering.UNMETERED])),
        "POST", "/", draw(st.sampled_from(["0", "1", "none"])), input_chars=50,
        layers=draw(_good),
    )  # fmt: skip
    closed = CallClosed(
        bytes(16), 0, draw(st.sampled_from([*[Status.OK] * 5, *Status])),
        usage=draw(st.sampled_from([(_USAGE % counts,), (_USAGE % counts,), ()])),
        usage_complete=draw(st.booleans()), is_billable=draw(st.sampled_from([True, True, False])),
        cached_from=draw(st.sampled_from([None, None, None, bytes(16)])),
    )  # fmt: skip
    return Call(opened, closed, Evidence("w", 1, 0, "1"))


@settings(deadline=None, max_examples=100)
@given(st.lists(_calls(), min_size=1, max_size=12), st.lists(_CARD, min_size=2, max_size=2))
def test_bulk_prices_have_the_layers_of_single_ones(
    calls: list[Call], cards: list[RateCard]
) -> None:
    def resolve(
        _: str, model: str | None, __: int, ___: str | None, ____: str | None
    ) -> RateCard | None:
        return None if model == "none" else cards[int(model or 0)]

    charges = [charge_of(call, resolve) for call in calls]
    priced = entry_table(price_calls(calls, resolve).columns, len(calls))
    single = charge_columns(charges, weights=[call.opened.layers for call in calls])
    assert priced == entry_table(single, len(calls))
    rows = priced.select(["cost_usd", KINDS[0], *LAYER_TOKENS, *LAYER_COSTS]).to_pylist()
    for row in rows:
        costs = [row[name] for name in LAYER_COSTS]
        if row["cost_usd"] is None:
            assert costs == [None] * len(LAYERS)
        else:
            assert sum(costs) == row["cost_usd"]
        assert (row[KINDS[0]] is None) == (row["unsplit_layer_tokens"] is None)


@example(None)
@example("")
@example("{}")
@example('["a"]')
@example("[0,1")
@given(st.none() | st.text(max_size=20))
def test_stored_weights_are_numbers_or_nothing(text: str | None) -> None:
    found = weights_of(text)
    assert found is None or all(isinstance(one, int) for one in found)


def test_unknown_sections_are_unsplit() -> None:
    assert layer_at(0) == LAYERS.index("prompt")
    assert layer_at(8) == layer_at(-1) == layer_at(10**9) == _UNSPLIT


def test_the_cached_start_is_the_cheap_one() -> None:
    # 100 tokens: 50 system, 30 tools, 20 user; 60 were read from the cache, 20 written to it.
    weights = (Section.SYSTEM, 500, Section.TOOL_DEFINITIONS, 300, Section.USER_INPUT, 200)
    kinds = Kinds(
        uncached_input_tokens=20, cache_read_tokens=60, cache_write_5m_tokens=20,
        visible_output_tokens=10, web_search_requests=1,
    )  # fmt: skip
    costs = dict.fromkeys(KINDS, 0) | {
        "uncached_input_tokens": 2000, "cache_read_tokens": 600, "cache_write_5m_tokens": 2500,
        "visible_output_tokens": 5000, "web_search_requests": 77, "requests": 3,
    }  # fmt: skip
    split = split_layers(tuple(map(int, weights)), kinds, tuple(costs.values()))
    assert split.tokens == (50, 30, 0, 20, 10, 0)
    assert split.costs == (500, 100 + 2500, 0, 2000, 5000, 80)
