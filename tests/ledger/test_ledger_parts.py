"""Calls of several parts, answers from the cache, and the provider's own figure as the cost."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from tollbook import ids
from tollbook.config.schema import PriceCard
from tollbook.dialects.base import Part
from tollbook.dialects.openai import OpenAI
from tollbook.ledger.rerate import preview, rerate
from tollbook.prices.book import PriceBook
from tollbook.prices.names import ProviderPrices
from tollbook.usage import Kinds

if TYPE_CHECKING:
    from tollbook.call import Call, CallOpened
    from tollbook.dialects.base import Measured

W = Any
_CENT = 10**10


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """What every call is said to have made beside its own usage; tests fill it."""
    wanted: list[Part] = []
    _with(monkeypatch, lambda measured, _: replace(measured, further=tuple(wanted)))
    return wanted


def _with(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    real = OpenAI.measure

    def measure(self: OpenAI, call: Call) -> Measured:
        changed: Measured = change(real(self, call), call)
        return changed

    monkeypatch.setattr(OpenAI, "measure", measure)


def _book(*, reported: bool = False, dearer: str = "4") -> PriceBook:
    def card(model: str, usd: str) -> PriceCard:
        return PriceCard(
            provider="openai", model=model, effective_from="2020-01-01", input=Decimal(usd),
            output=Decimal(usd),
        )  # fmt: skip

    cards = [card("m-*", "2"), card("other", dearer)]
    return PriceBook(cards, "t", {"openai": ProviderPrices("openai", uses_reported=reported)})


def _ingest(world: W, book: PriceBook, **closed: Any) -> CallOpened:
    world.price_book = book
    world.ingester = world.new_ingester()
    opened: CallOpened = world.call(world.writer(), **closed)
    world.drain()
    return opened


_TWO = [
    Part(Kinds(1_000_000), "other", "advisor"),
    Part(Kinds(visible_output_tokens=500_000), label="compaction"),
]


def test_each_part_is_an_entry_with_its_own_model_and_card(world: W, parts: list[Part]) -> None:
    parts += _TWO
    opened = _ingest(world, _book(), input_tokens=1_000_000, output_tokens=0)
    rows = world.rows(
        "SELECT part, part_label, calls, requests, model_actual, call_model, cost_usd, call_id"
        " FROM entries ORDER BY part"
    )
    assert [row[:-1] for row in rows] == [
        (0, None, 1, 1, None, None, Decimal(2)),
        (1, "advisor", 0, 0, "other", None, Decimal(4)),
        (2, "compaction", 0, 0, None, None, Decimal(1)),
    ]
    assert {row[-1].bytes for row in rows} == {opened.call_id}
    ((cards,),) = world.rows("SELECT count(DISTINCT price_card_id) FROM entries")
    assert cards == 2
    assert len(world.shelf.kept) == 2
    assert world.verify().findings == ()


def test_a_part_remembers_the_model_that_answered_the_call(world: W, parts: list[Part]) -> None:
    parts += _TWO
    _ingest(world, _book(), model_actual="m-7")
    rows = world.rows("SELECT model_actual, call_model FROM entries ORDER BY part")
    assert rows == [("m-7", None), ("other", "m-7"), ("m-7", "m-7")]
    assert world.verify().findings == ()


def test_rerating_corrects_only_the_part_whose_price_changed(world: W, parts: list[Part]) -> None:
    parts += _TWO
    _ingest(world, _book(), input_tokens=1_000_000, output_tokens=0)
    (row,) = rerate(world.store, world.shelf, _book(dearer="5")).rows
    assert (row.model, row.calls, row.old_cost, row.new_cost) == (
        "other", 0, 400 * _CENT, 500 * _CENT,
    )  # fmt: skip
    assert world.rows("SELECT sum(calls), sum(cost_usd) FROM entries") == [(1, Decimal(8))]
    assert world.rows(
        "SELECT part, kind, model_actual, calls FROM entries WHERE entry_id > 3 ORDER BY entry_id"
    ) == [(1, "reversal", "other", 0), (1, "charge", "other", 0)]
    assert rerate(world.store, world.shelf, _book(dearer="5")).rows == ()
    assert world.verify().findings == ()


def test_a_later_reading_may_add_and_take_away_parts(world: W, parts: list[Part]) -> None:
    parts += _TWO
    _ingest(world, _book(), input_tokens=1_000_000, output_tokens=0)
    parts[:] = [_TWO[0], _TWO[1], Part(Kinds(250_000), "other", "late")]
    connection = world.store.reader()
    assert preview(connection, _book()).difference == 100 * _CENT
    connection.close()
    rerate(world.store, world.shelf, _book())
    assert world.rows("SELECT sum(calls), sum(cost_usd) FROM entries") == [(1, Decimal(8))]
    assert world.verify().findings == ()
    del parts[1:]
    rerate(world.store, world.shelf, _book())
    assert rerate(world.store, world.shelf, _book()).rows == ()
    assert world.rows("SELECT sum(calls), sum(cost_usd), sum(requests) FROM entries") == [
        (1, Decimal(6), 1)
    ]
    assert world.verify().findings == ()


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        ("UPDATE {} SET part = 0 WHERE part = 1", {"hash", "active"}),
        ("UPDATE {} SET part = 3 WHERE part = 1", {"hash", "kinds"}),
        ("DELETE FROM {} WHERE part = 2", {"hash", "ids", "active"}),
        ("UPDATE {} SET calls = 1 WHERE part = 1", {"hash", "components", "active"}),
        ("UPDATE {} SET uncached_input_tokens = 1 WHERE part = 1", {"hash", "kinds"}),
        ("UPDATE {} SET price_tier = 'batch' WHERE part = 1", {"hash", "price"}),
        ("UPDATE {} SET region = 'eu' WHERE part = 0", {"hash"}),
        ("UPDATE {} SET cost_source = 'provider' WHERE part = 0", {"hash"}),
        ("UPDATE {} SET reported_cost_usd = 1 WHERE part = 0", {"hash", "price"}),
        ("UPDATE {} SET saved_cost_usd = 1 WHERE part = 0", {"hash", "price"}),
        ("UPDATE {} SET part_label = 'x' WHERE part = 1", {"hash"}),
        ("UPDATE {} SET operation_id = call_id WHERE part = 0", {"hash"}),
        ("UPDATE {} SET custom_id = 'x' WHERE part = 0", {"hash"}),
    ],
)
def test_verify_sees_a_change_of_any_new_column(
    world: W, parts: list[Part], change: str, checks: set[str]
) -> None:
    parts += _TWO
    _ingest(world, _book())
    assert world.verify().is_clean
    connection = world.store.reader()
    connection.execute(change.format("entries"))
    connection.close()
    assert {one.check for one in world.verify().findings} >= checks


def test_an_answer_from_the_cache_costs_nothing_and_says_what_it_saved(
    world: W, parts: list[Part]
) -> None:
    first = _ingest(world, _book(), input_tokens=1_000_000, output_tokens=0)
    parts += _TWO
    _ingest(
        world, _book(), input_tokens=1_000_000, output_tokens=0, is_billable=False,
        cached_from=first.call_id,
    )  # fmt: skip
    rows = world.rows(
        "SELECT part, price_state, calls, uncached_input_tokens, cost_usd, saved_cost_usd,"
        " cached_from FROM entries WHERE cached_from IS NOT NULL ORDER BY part"
    )
    assert [row[:-1] for row in rows] == [
        (0, "cached", 1, None, Decimal(0), Decimal(2)),
        (1, "cached", 0, None, Decimal(0), Decimal(4)),
        (2, "cached", 0, None, Decimal(0), Decimal(1)),
    ]
    assert {row[-1].bytes for row in rows} == {first.call_id}


def test_what_a_cached_answer_saved_is_verified_and_rerated(world: W) -> None:
    _ingest(world, _book(), is_billable=False, cached_from=ids.new_id(), output_tokens=1_000_000)
    assert world.verify().findings == ()
    world.price_book = world.prices("4", "4")
    rerate(world.store, world.shelf, world.price_book)
    assert world.rows("SELECT sum(cost_usd), sum(saved_cost_usd), sum(calls) FROM entries") == [
        (Decimal(0), Decimal("4.000040"), 1)
    ]
    assert world.verify().findings == ()


def test_the_providers_figure_is_kept_beside_ours(
    world: W, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with(monkeypatch, lambda measured, _: replace(measured, reported_cost_pico=3 * _CENT))
    _ingest(world, _book(), input_tokens=10_000, output_tokens=0)
    assert world.rows("SELECT cost_usd, reported_cost_usd, cost_source FROM entries") == [
        (Decimal("0.02"), Decimal("0.03"), "card")
    ]
    assert world.verify().findings == ()


def test_the_providers_figure_is_the_cost_where_the_policy_says_so(
    world: W, parts: list[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts += _TWO
    _with(
        monkeypatch, lambda measured, _: replace(measured, reported_cost_pico=10 * 100 * _CENT + 1)
    )
    _ingest(world, _book(reported=True), input_tokens=1_000_000, output_tokens=0)
    assert world.rows("SELECT sum(cost_usd), sum(reported_cost_usd), sum(calls) FROM entries") == [
        (Decimal("10.000000000001"),) * 2 + (1,)
    ]
    assert world.rows("SELECT DISTINCT cost_source, price_state FROM entries") == [
        ("provider", "priced")
    ]
    # 2, 4 and 1 dollars by the cards
    shares = world.rows("SELECT cost_usd FROM entries ORDER BY part")
    assert [round(float(one), 6) for (one,) in shares] == [2.857143, 5.714286, 1.428571]
    assert world.verify().findings == ()
    connection = world.store.reader()
    connection.execute(f"UPDATE {'entries'} SET cost_usd = 6 WHERE part = 1")
    connection.close()
    assert {one.check for one in world.verify().findings} >= {"hash", "components", "price"}


@pytest.mark.parametrize(("reported", "is_used"), [(7, True), (0, True), (-1, False)])
def test_a_figure_without_a_card_prices_the_call_and_one_that_is_no_amount_does_not(
    world: W,
    monkeypatch: pytest.MonkeyPatch,
    reported: int,
    is_used: bool,  # noqa: FBT001 -- a table column
) -> None:
    _with(monkeypatch, lambda measured, _: replace(measured, reported_cost_pico=reported))
    _ingest(world, _book(reported=True), model_actual="nobody-knows")
    ((state, cost, told, source, problems),) = world.rows(
        "SELECT price_state, cost_usd * 1000000000000, reported_cost_usd, cost_source,"
        " usage_problems FROM entries"
    )
    if is_used:
        assert (state, cost, source, problems) == ("priced", reported, "provider", None)
        ((part,),) = world.rows("SELECT requests_cost_usd * 1000000000000 FROM entries")
        assert part == reported
    else:
        assert (state, cost, told, source) == ("unpriced", None, None, None)
        assert "no amount" in problems
    assert world.verify().findings == ()


def test_attempts_batches_and_what_was_asked_are_kept(world: W) -> None:
    first, second = ids.new_id(), ids.new_id()
    writer = world.writer()
    opened = world.opened(
        operation_id=first, retry_of=second, fallback_from="openai/m-0", route="fast",
        region="eu-west-1", asked={"n": 2, "size": "1024x1024"}, batch_id="batch_1",
        custom_id="line-7",
    )  # fmt: skip
    writer.append(opened)
    writer.append(world.closed(opened))
    writer.flush()
    world.drain()
    ((operation, retry, *others),) = world.rows(
        "SELECT operation_id, retry_of, fallback_from, route, region, asked, provider_batch_id,"
        " custom_id, price_tier FROM entries"
    )
    assert (operation.bytes, retry.bytes) == (first, second)
    assert others == [
        "openai/m-0", "fast", "eu-west-1", '{"n":2,"size":"1024x1024"}', "batch_1", "line-7",
        "batch",
    ]  # fmt: skip
    assert world.verify().findings == ()


def test_i1_a_booked_period_reads_the_same_after_prices_changed(world: W) -> None:
    _ingest(world, _book(), input_tokens=1_000_000, output_tokens=0)
    before = world.rows("SELECT * FROM entries")
    _ingest(world, _book(dearer="50"), input_tokens=1, output_tokens=0)
    world.price_book = world.prices("9", "9")
    world.reopen()
    world.drain()
    assert world.rows("SELECT * FROM entries ORDER BY entry_id LIMIT 1") == before
    assert world.verify().findings == ()
