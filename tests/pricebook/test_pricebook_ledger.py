"""Cards of the books and the ledger: taken up without a restart, re-rated to the pico, verified."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.pricebook.conftest import House, Spent

from tollbook import clock
from tollbook.books.events import list_events
from tollbook.books.records import FILE_NAME
from tollbook.chargeback.pricebook.shelf import refresher
from tollbook.money import pico_from_usd
from tollbook.reports.errors import QueryError
from tollbook.supervisor.gateway_books import GatewayBooks
from tollbook.supervisor.gateway_prices import GatewayPrices

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pricebook.conftest import Opened

RANGE = {"since": "2026-11-01", "until": "2026-12-01"}


def card(
    model: str = "m-*", start: str = "2026-11-01", prices: str = "input = 1\noutput = 2"
) -> str:
    return (
        f'[[prices]]\nprovider = "house"\nmodel = "{model}"\neffective_from = "{start}"\n{prices}\n'
    )


def booked(opened: Opened) -> list[tuple[Any, ...]]:
    return opened.rows(
        "SELECT model_actual, price_state, sum(cost_usd), sum(calls) FROM entries"
        " GROUP BY ALL HAVING sum(calls) > 0 ORDER BY ALL"
    )


def test_a_running_ledger_prices_new_calls_with_new_cards(house: House) -> None:
    house.write(Spent())
    with house.open() as opened:
        assert booked(opened) == [("m-1", "unpriced", None, 1)]
        opened.import_cards(card())
        house.write(Spent(model="m-2"))
        opened.drain()
        assert booked(opened) == [
            ("m-1", "unpriced", None, 1), ("m-2", "priced", Decimal("0.0012"), 1),
        ]  # fmt: skip
        opened.import_cards(card(start="2026-11-02", prices="input = 10\noutput = 20"))
        house.write(Spent(model="m-3"), Spent(model="m-3", day=1))
        opened.drain()
        assert booked(opened)[-1] == ("m-3", "priced", Decimal("0.0132"), 2)
        # Cards are kept as they were used: what is booked is verified with them, not with new ones.
        assert opened.verify()["total_findings"] == 0


def test_a_refresh_asks_for_no_card_when_nothing_is_new(opened: Opened) -> None:
    book = opened.files.price_book
    refresh = refresher(book, opened.files.books)
    before = book.contracts
    refresh()
    assert book.contracts is before
    opened.import_cards(card())
    refresh()
    assert [one.document for one in book.contracts] == ["price_card/house:m-*/1"]


def test_books_that_cannot_be_read_leave_prices_as_they_are(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with house.open() as opened:
        opened.import_cards(card())
        refresh = refresher(opened.files.price_book, opened.files.books)
        with closing(sqlite3.connect(house.root / FILE_NAME)) as connection:
            connection.execute("ALTER TABLE documents RENAME TO elsewhere")
            refresh()
            refresh()
            assert len(opened.files.price_book.contracts) == 1
            connection.execute("ALTER TABLE elsewhere RENAME TO documents")
    assert [one.message for one in caplog.records if "prices stay" in one.message] == [
        next(one.message for one in caplog.records)
    ]


def test_a_card_that_the_settings_no_longer_allow_is_logged_and_prices_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with house.open() as opened:
        opened.import_cards(card())
    house.settle(house.config_path.read_text().partition("[providers.house]")[0])
    house.write(Spent())
    with house.open() as opened:
        assert booked(opened) == [("m-1", "unpriced", None, 1)]
        found = opened.ask("check", **RANGE)
    assert [one["finding"] for one in found["rows"]] == ["unusable"]
    assert "not used for pricing: the books: house:m-*.provider" in caplog.text


def test_a_missing_exchange_rate_is_unpriced_until_it_is_there(house: House) -> None:
    house.write(Spent(day=0.5), Spent(day=1.5))
    with house.open() as opened:
        opened.import_cards(card(prices='input = 1\noutput = 2\ncurrency = "EUR"'))
        house.write(Spent(model="m-2", day=0.5), Spent(model="m-2", day=1.5))
        opened.drain()
        assert [row[:3] for row in booked(opened)] == [
            ("m-1", "unpriced", None), ("m-2", "unpriced", None),
        ]  # fmt: skip
        ((flags,),) = opened.rows(
            "SELECT DISTINCT price_flags FROM entries WHERE called_at < '2026-11-02'"
            " AND model_actual = 'm-2'"
        )
        assert "no rate for EUR in USD on 2026-11-01" in flags
        found = opened.ask("check", **RANGE)
        (missing,) = (one for one in found["rows"] if one["finding"] == "no exchange rate")
        assert (missing["severity"], missing["detail"]) == (
            "error", "EUR on 2 day(s) with calls, first 2026-11-01",
        )  # fmt: skip
        (first, _) = opened.ask("unpriced", **RANGE)["rows"]
        assert "no rate for EUR in USD on" in first["why"]
        opened.ask(
            "fx_import", file="fx.csv", reason="ECB",
            text="date,currency,usd_per_unit\n2026-11-01,EUR,1.1\n",
        )  # fmt: skip
        shown = opened.rerate()
        assert shown["totals"]["change_usd"] == "0.002640000000"
        assert (shown["totals"]["calls"], shown["totals"]["unpriced_before"]) == (2, 2)
        assert opened.rerate(("apply", "true"), ("reason", "rates"))["tenants"] == shown["tenants"]
        assert sum(pico_from_usd(str(row[2])) for row in booked(opened) if row[2]) == 2_640_000_000
        assert opened.verify()["total_findings"] == 0


def test_steps_and_minimums_of_the_books_are_booked_and_verified(house: House) -> None:
    text = card(
        prices="input = 1\noutput = 2\nminimum_per_request = 0.01\n"
        "[[prices.steps]]\nabove = 20000\ninput = 3\noutput = 4"
    )
    with house.open() as opened:
        opened.import_cards(text)
        house.write(Spent(), Spent(input=20_000), Spent(input=20_001))
        opened.drain()
        costs = opened.rows("SELECT cost_usd, requests_cost_usd FROM entries ORDER BY entry_id")
        assert costs == [
            (Decimal("0.01"), Decimal("0.0088")), (Decimal("0.0202"), 0),
            (Decimal("0.060403"), 0),
        ]  # fmt: skip
        assert opened.verify()["total_findings"] == 0


calls = st.lists(
    st.builds(
        Spent, tenant=st.sampled_from(["acme", "globex", None]),
        model=st.sampled_from(["m-1", "m-2", "n-1"]), day=st.integers(0, 9),
        input=st.integers(0, 10**6), output=st.integers(0, 10**6),
    ),
    min_size=1, max_size=12,
)  # fmt: skip
cents = st.decimals(min_value=0, max_value=50, places=4)
cards = st.lists(
    st.tuples(st.sampled_from(["m-1", "m-*", "n-?"]), st.integers(1, 9), cents, cents),
    min_size=1, max_size=4, unique_by=lambda one: one[:2],
)  # fmt: skip


def _file(some: list[tuple[str, int, Decimal, Decimal]]) -> str:
    return "".join(
        card(model, f"2026-11-{day:02d}", f"input = {given}\noutput = {out}")
        for model, day, given, out in some
    )


@settings(
    max_examples=5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)  # a ledger for each: what fails is small already
@given(calls=calls, first=cards, second=cards)
def test_a_preview_is_what_is_booked_to_the_pico(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Spent],
    first: list[tuple[str, int, Decimal, Decimal]], second: list[tuple[str, int, Decimal, Decimal]],
) -> None:  # fmt: skip
    house = House(tmp_path_factory.mktemp("house"))
    with house.open() as opened:
        opened.import_cards(_file(first))
        house.write(*calls)
        opened.drain()
        opened.import_cards(_file(second))
        before, shown = _by_tenant(opened), opened.rerate()
        done = opened.rerate(("apply", "true"), ("reason", "prices of the second file"))
        assert (done["rows"], done["totals"]) == (shown["rows"], shown["totals"])
        after = _by_tenant(opened)
        changed = {row["tenant"]: pico_from_usd(row["change_usd"]) for row in shown["tenants"]}
        assert {
            name: after[name] - before[name] for name in after if after[name] != before[name]
        } == {name: change for name, change in changed.items() if change}
        assert sum(changed.values()) == pico_from_usd(shown["totals"]["change_usd"])
        assert opened.rerate()["rows"] == []
        assert opened.verify()["total_findings"] == 0


def _by_tenant(opened: Opened) -> dict[str, int]:
    sums = opened.rows(
        "SELECT coalesce(tenant_id, 'unknown'), sum(cost_usd) FROM entries GROUP BY 1"
    )
    return {name: 0 if cost is None else pico_from_usd(str(cost)) for name, cost in sums}


def test_re_rating_needs_a_reason_and_keeps_it(house: House) -> None:
    house.write(Spent())
    with house.open() as opened:
        opened.import_cards(card())
        for pairs in ([], [("reason", " ")], [("reason", "a\nb")], [("reason", "x" * 501)]):
            with pytest.raises(QueryError, match="--reason: say why it is booked"):
                opened.rerate(("apply", "true"), *pairs)
        shown = opened.rerate(("reason", "only shown"))
        assert shown["applied"] is False
        assert shown["months"] == [
            {"month": "2026-11", "period": "open", "calls": 1, "before_usd": "0.000000000000",
             "after_usd": "0.001200000000", "change_usd": "0.001200000000"}
        ]  # fmt: skip
        opened.rerate(("apply", "true"), ("reason", "form 17"), ("author", "dora"))
        reasons = opened.rows("SELECT DISTINCT reason FROM entries WHERE reason IS NOT NULL")
        assert len(reasons) == 1
        assert reasons[0][0].endswith("(form 17)")
        (event,) = list_events(opened.files.books, action="rerate.applied")
        assert event.actor == "dora"
        assert event.detail["reason"] == "form 17"


def test_unpriced_models_wait_with_the_dollars_at_stake(house: House) -> None:
    house.write(
        *[
            Spent(tenant=f"t-{at}", model="gpt-4o-acme", day=3, provider="openai")
            for at in range(3)
        ],
        Spent(model="gpt-4o-acme", day=5, provider="openai"),
        Spent(model="qqqq-zzzz"),
        Spent(model="m-9"),
    )
    with house.open() as opened:
        opened.import_cards(card("m-9"))
        answer = opened.ask("unpriced", **RANGE)
        dear, own, unlike = answer["rows"]
        assert (dear["calls"], dear["tenants"], dear["since"]) == (4, 4, "2026-11-04")
        # gpt-4o: 2.5 and 10 dollars a million
        assert dear["estimated_usd"] == "0.014000000000"
        assert dear["estimated_with"] == "list price of openai gpt-4o (a similar name)"
        assert dear["tenants_affected"] == ["acme", "t-0", "t-1", "t-2"]
        assert dear["is_estimate"] is True
        assert dear["why"] == "no card and no list price"
        assert own["estimated_usd"] == "0.001200000000"
        assert own["why"] == "priced now: book it with tollbook prices rerate"
        assert unlike["estimated_usd"] is None
        assert unlike["estimated_with"].startswith("nothing similar")
        assert answer["totals"] == {
            "calls": 6, "estimated_usd": "0.015200000000", "models_without_estimate": 1,
        }  # fmt: skip
        named = opened.ask("unpriced", **RANGE, like="openai/gpt-4o-mini")["rows"]
        assert {row["model"]: row["estimated_usd"] for row in named}[
            "qqqq-zzzz"
        ] == "0.000210000000"
        card_of_books = opened.ask("unpriced", **RANGE, like="house/m-9")["rows"]
        assert card_of_books[0]["estimated_usd"] == "0.004800000000"
        by_name = opened.ask("unpriced", **RANGE, like="house:m-9")["rows"]
        assert by_name[0]["estimated_with"] == "price of house:m-9 (named)"
        assert [row["estimated_usd"] for row in by_name] == [
            row["estimated_usd"] for row in card_of_books
        ]
        with pytest.raises(QueryError, match="--like: 'openai/none' has no price"):
            opened.ask("unpriced", **RANGE, like="openai/none")
        # Estimates are never booked, and what is re-rated leaves the queue.
        assert {row[2] for row in booked(opened)} == {None}
        opened.rerate(("apply", "true"), ("reason", "new cards"))
        assert [row["model"] for row in opened.ask("unpriced", **RANGE)["rows"]] == [
            "gpt-4o-acme", "qqqq-zzzz",
        ]  # fmt: skip


def test_check_finds_what_is_expired_unused_and_far_from_the_list(house: House) -> None:
    house.write(Spent(day=8), Spent(model="gpt-4o", provider="openai", day=8))
    with house.open() as opened:
        opened.import_cards(
            card("m-1").replace("output", 'effective_until = "2026-11-05"\noutput')
            + card("idle-*")
            + card("gpt-4o", prices="input = 1\noutput = 10").replace('"house"', '"openai"')
        )
        found = opened.ask("check", **RANGE)
        assert [(one["severity"], one["finding"], one["card"]) for one in found["rows"]] == [
            ("warning", "expired card in use", "house:m-1"),
            ("warning", "far from list price", "openai:gpt-4o"),
            ("warning", "matches no calls", "house:idle-*"),
            ("warning", "matches no calls", "house:m-1"),
        ]  # fmt: skip
        details = [one["detail"] for one in found["rows"]]
        assert details[0].startswith("ended 2026-11-05; 1 calls since then")
        assert "uncached_input_tokens -60 %" in details[1]
        assert [one["model"] for one in found["unpriced"]] == ["m-1"]
        assert opened.ask("check", **RANGE, differ_percent=70)["rows"][1]["finding"] != (
            "far from list price"
        )
        with pytest.raises(QueryError, match="--differ"):
            opened.ask("check", differ_percent=-1)


def test_check_names_cards_that_only_the_alphabet_decides_between(house: House) -> None:
    house.write(Spent())
    with house.open() as opened:
        opened.import_cards(card("m-?") + card("?-1") + card("m*"))
        found = opened.ask("check", **RANGE)["rows"]
    assert [(one["finding"], one["card"], one["model"]) for one in found] == [
        ("as literal as another", "house:?-1", "m-1"),
        ("matches no calls", "house:?-1", "?-1"),
        ("matches no calls", "house:m*", "m*"),
    ]  # fmt: skip


def test_a_gateway_takes_up_new_cards_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path)
    store = msgspec.structs.replace(house.config.store, dir=str(tmp_path))
    prices = GatewayPrices(msgspec.structs.replace(house.config, store=store), "test")

    async def main(opened: Opened) -> None:
        prices.load()
        assert prices.list_price("house", "m-1") is None
        opened.import_cards(card())
        assert prices.list_price("house", "m-1") is None  # it looks every ten seconds
        later_ns = clock.monotonic_ns() + 11 * clock.NS_PER_S
        monkeypatch.setattr(clock, "monotonic_ns", lambda: later_ns)
        price = prices.list_price("house", "m-1")
        for _ in range(2000):
            if price is not None:
                break
            await asyncio.sleep(0.005)
            price = prices.list_price("house", "m-1")
        assert price is not None
        assert price.output_pico == 2 * 10**12

    with house.open() as opened:
        asyncio.run(main(opened))


def test_a_gateway_reads_the_books_only_when_they_changed(tmp_path: Path) -> None:
    house = House(tmp_path)
    reader = GatewayBooks(tmp_path)
    assert reader.read(house.config.providers) is None
    with house.open() as opened:
        assert reader.read(house.config.providers) is None
        opened.import_cards(card())
        found = reader.read(house.config.providers)
        assert found is not None
        assert [one.model for one in found.contracts] == ["m-*"]
        assert reader.read(house.config.providers) is None
        store = msgspec.structs.replace(house.config.store, dir=str(tmp_path))
        config = msgspec.structs.replace(house.config, store=store)
        prices = GatewayPrices(config, "test")
        prices.load()
        price = prices.list_price("house", "m-1")
        assert price is not None
        assert (price.input_pico, price.output_pico) == (10**12, 2 * 10**12)
