"""Prices of calls: exactly the ledger's, dated, with what is uncertain said beside them."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.audit_score.made_traces import AT_NS, KINDS, call, span

from tollbook.audit.facts import CallFact, SpanFact
from tollbook.audit.price_books import UnreadBooksError
from tollbook.audit.pricing import BookPricer, ListPricer, NoPrices, list_words
from tollbook.books.documents import Subject, put_document
from tollbook.books.store import open_books
from tollbook.call import SpanKind
from tollbook.config import Config, ConfigError
from tollbook.prices.book import PriceBook
from tollbook.prices.bookcard import BookCard, body_of
from tollbook.prices.listprices import list_provider_ids
from tollbook.prices.pricelist import LIST
from tollbook.prices.rating import rate
from tollbook.prices.tiers import with_batch
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from pathlib import Path

DAY_NS = 86_400 * 10**9
LISTED = ListPricer()
BOOK = PriceBook.of_config(Config(), "the settings")
MODELS = [
    (provider, model.id)
    for provider, list_id in (
        ("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "google"),
        ("bedrock", "aws"), ("xai", "x-ai"), ("deepseek", "deepseek"),
    )
    for one in LIST.providers if one.id == list_id
    for model in one.models if model.dated
]  # fmt: skip
TOKENS = st.integers(0, 500_000)


def priced(pricer: Any = LISTED, at_ns: int = AT_NS, **changes: Any) -> CallFact:
    """Return a call that was priced."""
    bare = call(1, **({"cost_pico": None, "price_card": None} | changes))
    got: SpanFact = pricer.price(span(1, bare, started_at_ns=at_ns, ended_at_ns=at_ns))
    assert got.call is not None
    return got.call


@given(
    named=st.sampled_from(MODELS),
    kinds=st.builds(Kinds, TOKENS, TOKENS, TOKENS, TOKENS, visible_output_tokens=TOKENS,
              reasoning_tokens=TOKENS),
    tier=st.sampled_from([None, "batch", "priority", "flex", "standard"]),
    is_batch=st.booleans(),
    region=st.sampled_from([None, "us-east-1", "eu-central-1", "us"]),
    at_s=st.integers(1_700_000_000, 1_795_000_000),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_a_call_costs_what_the_ledger_books(
    named: tuple[str, str], kinds: Kinds, tier: str | None, *, is_batch: bool,
    region: str | None, at_s: int,
) -> None:  # fmt: skip
    provider, model = named
    got = priced(at_ns=at_s * 10**9, provider=provider, model_actual=model, kinds=kinds,
                 service_tier=tier, is_batch=is_batch, region=region)  # fmt: skip
    words = with_batch(tier) if is_batch else tier
    card = BOOK.resolve(provider, model, at_s * 10**9, words, region)
    if card is None or rate(card, kinds).unpriced_kinds:
        assert (got.cost_pico, got.price_card) == (None, None)
        assert got.price_problem
        assert got.is_price_doubtful
        return
    assert got.cost_pico == rate(card, kinds).total
    assert got.price_card is not None
    assert got.price_card.endswith(f"card {card.card_id}")


def test_a_known_price_by_hand() -> None:
    got = priced(kinds=Kinds(86, 1920, visible_output_tokens=300))
    # 2.50, 1.25 and 10 USD per million tokens, in pico
    assert got.cost_pico == 86 * 2_500_000 + 1920 * 1_250_000 + 300 * 10_000_000
    assert got.price_problem is None
    assert not got.is_price_doubtful


def test_the_hours_of_a_day_may_have_prices_of_their_own() -> None:
    day_ns = 1_795_046_400 * 10**9 // DAY_NS * DAY_NS
    costs = []
    for hour in range(24):
        at_ns = day_ns + hour * 3600 * 10**9
        got = priced(at_ns=at_ns, provider="deepseek", model_actual="deepseek-v4-flash")
        card = BOOK.resolve("deepseek", "deepseek-v4-flash", at_ns, None)
        assert card is not None
        assert got.cost_pico == rate(card, KINDS).total
        costs.append(got.cost_pico)
    assert len(set(costs)) > 1


@pytest.mark.parametrize(
    ("changes", "said", "is_doubtful"),
    [
        ({"provider": "unknown"}, "'unknown' has no list prices: priced as openai", True),
        ({"provider": "litellm", "model_actual": "openai/gpt-4o"}, "priced as openai", True),
        ({"service_tier": "weird"}, "no price for service tier weird", True),
        ({"model_actual": None}, "the model that was asked for", False),
        ({"provider": "azure"}, "the price list has this model at openai only", False),
        ({"is_batch": True}, None, False),
        ({"provider": "x-ai", "model_actual": "grok-4"}, None, False),
    ],
)
def test_what_is_uncertain_is_said_and_priced_all_the_same(
    changes: dict[str, Any], said: str | None, *, is_doubtful: bool
) -> None:
    got = priced(**changes)
    assert got.cost_pico is not None
    assert (got.price_problem is None) == (said is None)
    assert said is None or said in (got.price_problem or "")
    assert got.is_price_doubtful == is_doubtful


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_actual": "gpt-4o-min1"}, "names like it: openai/gpt-4o"),
        ({"provider": "acme-llm", "model_actual": "acme-1"}, "no price for the model 'acme-1'"),
        ({"model_actual": None, "model_requested": None}, "names no model"),
        ({"kinds": None}, "no usage is known"),
        ({"kinds": Kinds(2**62)}, "beyond any amount of money"),
        ({"kinds": Kinds(10, images=3)}, "no rate for images"),
    ],
)
def test_what_has_no_price_has_none_and_says_why(changes: dict[str, Any], said: str) -> None:
    got = priced(**changes)
    assert (got.cost_pico, got.price_card) == (None, None)
    assert said in (got.price_problem or "")
    assert got.is_price_doubtful


def test_a_call_that_was_not_charged_costs_nothing() -> None:
    got = priced(is_billable=False, kinds=None)
    assert (got.cost_pico, got.price_card, got.is_price_doubtful) == (0, None, False)


def test_the_providers_own_figure_is_the_cost_where_it_is_what_is_billed() -> None:
    told: dict[str, Any] = {"cost_source": "provider", "reported_cost_pico": 77}
    got = priced(provider="openrouter", model_actual="openai/gpt-4o", **told)
    assert (got.cost_pico, got.price_card) == (77, "as reported by openrouter")
    assert priced(**told).cost_pico == priced().cost_pico
    unknown = priced(provider="acme-llm", model_actual="acme-1", **told)
    assert unknown.cost_pico == 77
    assert "the provider's own figure is used" in (unknown.price_problem or "")
    worked_out = priced(
        provider="acme-llm", model_actual="acme-1", cost_source="litellm", reported_cost_pico=77
    )
    assert worked_out.cost_pico is None


def test_a_list_that_is_old_by_then_is_said() -> None:
    assert LIST.read_on is not None
    days = (LIST.read_on - LIST.read_on.replace(year=1970, month=1, day=1)).days
    read_ns = days * DAY_NS
    late = priced(ListPricer(price_age_max_days=30), at_ns=read_ns + 31 * DAY_NS)
    assert late.is_price_doubtful
    assert f"the price list is of {LIST.read_on}, 31 days before" in (late.price_problem or "")
    assert priced(ListPricer(31), at_ns=read_ns + 31 * DAY_NS).price_problem is None


def test_a_call_without_a_time_is_priced_as_today() -> None:
    got = priced(at_ns=0)
    assert got.cost_pico is not None
    assert got.is_price_doubtful
    assert "today's price" in (got.price_problem or "")


def test_a_span_that_is_no_call_and_no_prices_change_nothing() -> None:
    plain = SpanFact("t", "s", None, "GET /", SpanKind.OTHER)
    assert LISTED.price(plain) is plain
    assert NoPrices().price(span()) == span()
    assert LISTED.words == f"list prices, {list_words()}"
    assert str(LIST.read_on) in LISTED.words


def test_every_provider_of_the_list_is_known_by_its_own_name() -> None:
    known = list_provider_ids()
    for one in LIST.providers:
        model = next((model.id for model in one.models if model.dated), None)
        if model is None or one.id not in known:
            continue
        problem = priced(provider=one.id, model_actual=model).price_problem or ""
        assert "has no list prices" not in problem


TOML = """
[store]
dir = "{dir}"

[[prices]]
provider = "openai"
model = "gpt-4o*"
effective_from = 2026-01-01
discount_percent = 10
reason = "order form 2026-17"

[[prices]]
provider = "openai"
model = "acme-1"
effective_from = 2026-01-01
input = 3
output = 9
"""


def config_in(place: Path, text: str = TOML) -> Path:
    file = place / "tollbook.toml"
    file.write_text(text.format(dir=place / "data"), encoding="utf-8")
    return file


def test_own_prices_go_before_those_of_the_list(tmp_path: Path) -> None:
    pricer = BookPricer(config_in(tmp_path))
    listed = priced().cost_pico
    assert listed is not None
    assert (priced(pricer).cost_pico or 0) * 10 == listed * 9
    own = priced(pricer, model_actual="acme-1")
    assert own.cost_pico == KINDS.input_tokens * 3_000_000 + KINDS.output_tokens * 9_000_000
    assert not own.is_price_doubtful
    assert "contract" in (own.price_card or "")
    assert pricer.words == f"{tmp_path / 'tollbook.toml'} (2 own prices), else {list_words()}"


def test_cards_of_the_books_are_used_too(tmp_path: Path) -> None:
    file = config_in(tmp_path, '[store]\ndir = "{dir}"\n')
    (tmp_path / "data").mkdir()
    card = BookCard(
        provider="openai", model="house-1", effective_from="2026-01-01",
        input=Decimal(4), output=Decimal(8),
    )  # fmt: skip
    with open_books(tmp_path / "data") as books:
        put_document(
            books, Subject.PRICE_CARD, "openai:house-1", effective_from_ns=1_767_225_600 * 10**9,
            body=body_of(card), reason="order form",
        )  # fmt: skip
    got = priced(BookPricer(file), model_actual="house-1")
    assert got.cost_pico == KINDS.input_tokens * 4_000_000 + KINDS.output_tokens * 8_000_000


def test_settings_and_books_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        BookPricer(tmp_path / "nowhere.toml")
    file = config_in(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "books.sqlite").write_bytes(b"no database, " * 100)
    with pytest.raises(UnreadBooksError, match=r"books\.sqlite"):
        BookPricer(file)
    (tmp_path / "data" / "books.sqlite").unlink()
    sqlite3.connect(tmp_path / "data" / "books.sqlite").close()
    with pytest.raises(UnreadBooksError, match="no such table"):
        BookPricer(file)


@pytest.mark.parametrize(
    ("changes", "is_waiting"),
    [
        ({"kinds": None}, True),
        ({"kinds": None, "model_actual": "acme-1", "provider": "acme-llm"}, False),
        ({}, False),
    ],
)
def test_without_usage_it_is_said_whether_there_is_a_price(
    changes: dict[str, Any], *, is_waiting: bool
) -> None:
    assert priced(**changes).is_price_waiting is is_waiting
