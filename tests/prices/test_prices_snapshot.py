"""The snapshot of the price list says what the package says that it was made of."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

import genai_prices
import msgspec
from genai_prices import types as its
from genai_prices.data import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.prices import listprices
from tollbook.prices.installed import installed_list
from tollbook.prices.listed import PriceList, Tiered
from tollbook.prices.listprices import ListPrices
from tollbook.prices.pricelist import LIST
from tollbook.prices.snapshot import packed, snapshot_list, unpacked

if TYPE_CHECKING:
    import pytest

KEPT = snapshot_list()
BY_ID = {one.id: one for one in KEPT.providers}
ITS = {one.id: one for one in providers}
PAIRS = [(provider.id, model.id) for provider in providers for model in provider.models]
DAYS = st.datetimes(datetime(2023, 1, 1), datetime(2027, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- the bounds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_the_snapshot_is_of_the_package_that_is_installed() -> None:
    assert KEPT.version == version("genai-prices") == genai_prices.__version__, (
        "run python tools/price_snapshot.py"
    )


def test_the_whole_snapshot_equals_the_package() -> None:
    assert installed_list(KEPT.read_on) == KEPT
    assert len(KEPT.providers) > 40
    assert sum(len(one.models) for one in KEPT.providers) > 2000


def test_what_is_packed_is_unpacked_and_is_small() -> None:
    data = packed(KEPT)
    assert unpacked(data) == KEPT
    assert packed(KEPT) == data
    assert len(data) < 400_000


def plain(price: object) -> object:
    if isinstance(price, (its.TieredPrices, Tiered)):
        return price.base, [(tier.start, tier.price) for tier in price.tiers]
    return price


@given(st.sampled_from(PAIRS), DAYS)
@settings(max_examples=300, deadline=None)
def test_a_model_has_the_prices_of_the_package_at_any_moment(
    pair: tuple[str, str], at: datetime
) -> None:
    provider_id, name = pair
    model = BY_ID[provider_id].find(name)
    its_model = ITS[provider_id].find_model(name)
    assert (model is None) == (its_model is None)
    if model is None or its_model is None or not model.dated:
        return
    assert model.id == its_model.id
    expected = {k: v for k, v in vars(its_model.get_prices(at)).items() if v is not None}
    assert {k: plain(v) for k, v in model.prices_at(at).items()} == {
        k: plain(v) for k, v in expected.items()
    }
    for words, its_words in zip(model.variants, its_model.price_variants or (), strict=True):
        constraint = its_words.constraint
        holds = constraint is None or constraint.active(at)
        assert (words.when is None or words.when.holds(at)) == holds


@given(
    st.sampled_from(sorted(ITS)),
    st.one_of(
        st.sampled_from([name for _, name in PAIRS]),
        st.sampled_from([name for _, name in PAIRS]).map(str.upper),
        st.from_regex(r"[a-z0-9./:-]{0,30}(-20251211)?", fullmatch=True),
        st.tuples(
            st.sampled_from([name for _, name in PAIRS]),
            st.sampled_from(["-20251211", "-20251399", "-latest", ":free", "x", "-2024-08-06"]),
        ).map("".join),
        st.text(max_size=20),
    ),
)
@settings(max_examples=400, deadline=None)
def test_a_name_means_the_model_that_the_package_takes_it_for(provider_id: str, name: str) -> None:
    found = BY_ID[provider_id].find(name)
    expected = ITS[provider_id].find_model(name)
    assert (found and found.id) == (expected and expected.id)


def test_a_price_changed_in_a_list_is_seen_by_the_comparison() -> None:
    text = msgspec.json.encode(KEPT).replace(b'"2.5"', b'"2.6"', 1)
    assert msgspec.json.decode(text, type=PriceList) != KEPT


def cards(
    source: PriceList, at_ns: int, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, str, str | None], str | None]:
    monkeypatch.setattr(listprices, "_PROVIDERS", {one.id: one for one in source.providers})
    prices = ListPrices()
    found = {}
    for provider_id, name in PAIRS:
        for tier in (None, "batch", "priority"):
            card = prices.resolve(provider_id, name, at_ns, tier).card
            found[provider_id, name, tier] = None if card is None else card.card_id
    return found


def test_every_model_has_the_same_card_from_either(monkeypatch: pytest.MonkeyPatch) -> None:
    at_ns = (datetime(2026, 11, 20, 17, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000
    of_kept = cards(KEPT, at_ns, monkeypatch)
    assert of_kept == cards(installed_list(), at_ns, monkeypatch)
    assert sum(card is not None for card in of_kept.values()) > 6000


WITHOUT = """
import sys, importlib.metadata as metadata
real = metadata.version
def version(name):
    if name == "genai-prices":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.version = version
sys.modules["genai_prices"] = None
from tollbook.prices import PriceBook, rate
from tollbook.usage import Kinds
card = PriceBook([], "here", {}).resolve("openai", "gpt-4o", 1_760_000_000 * 10**9, None)
total = rate(card, Kinds(1000, 500, visible_output_tokens=100)).total
print(card.card_id, card.source, total, sep="|")
"""


def test_without_the_package_the_same_card_comes_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    card = ListPrices().resolve("openai", "gpt-4o", 1_760_000_000 * 10**9, None).card
    assert card is not None
    # 2.50 and 1.25 and 10 USD per million tokens
    total = int(Decimal("2.5") * 1000 * 10**6 + Decimal("1.25") * 500 * 10**6 + 10 * 100 * 10**6)
    assert done.stdout.strip().split("|") == [card.card_id, card.source, str(total)]


def test_the_list_in_use_names_its_version() -> None:
    assert f"genai-prices {LIST.version}" == listprices.LIST_SOURCE
