"""Importing cards: all or nothing, once, and never against one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollbook import clock
from tollbook.books.documents import (
    DocumentsChangedError,
    Draft,
    Subject,
    document_history,
    documents_mark,
    put_document,
    put_documents,
)
from tollbook.books.events import list_events
from tollbook.books.store import open_books
from tollbook.chargeback.pricebook.changes import change_percent, changes
from tollbook.chargeback.pricebook.files import PriceFileError
from tollbook.config.problems import ConfigError
from tollbook.prices.fx import decimal_text
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from tests.pricebook.conftest import Opened


def card(
    model: str = "m-1", start: str = "2026-11-01", prices: str = "input = 1", **more: str
) -> str:
    extra = "".join(f'{name} = "{value}"\n' for name, value in more.items())
    return (
        f'[[prices]]\nprovider = "house"\nmodel = "{model}"\neffective_from = "{start}"\n'
        f"{prices}\n{extra}"
    )


CHANGE = ("field", "before", "after", "change_percent")


def versions(opened: Opened) -> list[tuple[str, int]]:
    found = document_history(opened.files.books, Subject.PRICE_CARD)
    return [(one.name, one.version) for one in found]


def test_an_import_says_what_changes_and_who_did_it(opened: Opened) -> None:
    done = opened.import_cards(card(), author="dora", reason="order form 3")
    assert done["counts"] == {"new": 1, "changed": 0, "unchanged": 0}
    assert done["documents"] == ["price_card/house:m-1/1"]
    again = opened.import_cards(card(start="2026-12-01", prices="input = 1.1\noutput = 2"))
    assert [tuple(row[name] for name in CHANGE) for row in again["rows"]] == [
        ("input", "1", "1.1", "10"), ("output", None, "2", None),
    ]  # fmt: skip
    (first, second) = opened.ask("history")["rows"]
    assert (first["author"], first["reason"], first["effective_from"]) == (
        "dora", "order form 3", "2026-11-01",
    )  # fmt: skip
    assert second["changes"] == "input 1 -> 1.1 (10 %); output - -> 2"
    assert opened.ask("history", card="house:m-1", provider="house", model="M-1")["rows"]
    assert opened.ask("history", provider="openai")["rows"] == []
    with pytest.raises(QueryError, match="--card: no card 'x' in the books"):
        opened.ask("history", card="x")
    (event, *_) = list_events(opened.files.books, action="prices.import")
    assert event.actor == "carla"


def test_a_dry_run_keeps_nothing(opened: Opened) -> None:
    shown = opened.import_cards(card(), dry_run=True)
    assert (shown["applied"], shown["counts"]["new"], shown["documents"]) == (False, 1, [])
    assert versions(opened) == []
    assert opened.import_cards(card())["rows"] == shown["rows"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (card() + card("m-2", prices=""), r"c.toml: line 6 \(model m-2\): has no price"),
        (
            card() + card("m-2", prices="input = nan"),
            r"line 6 \(model m-2\).input: NaN is no price",
        ),
        (card() + card("m-2", provider2="x"), r"line 6 \(model m-2\).provider2: no such field"),
        (card() + card(name="twin"), r"line 6 \(model m-1\): overlaps card 'house:m-1'"),
        (
            card() + card(),
            r"line 6 \(model m-1\).effective_from: two versions of 'house:m-1' begin",
        ),
        (
            card(name="a") + card("m-2", name="a"),
            r"line 7 \(model m-2\).name: 'a' is the name of a",
        ),
        (card(name="{a}"), r"price card '{a}': expected a name of letters"),
    ],
)
def test_of_a_wrong_file_nothing_is_kept(opened: Opened, text: str, problem: str) -> None:
    with pytest.raises(Exception, match=problem) as raised:
        opened.import_cards(text)
    assert "\n" not in str(raised.value)
    assert versions(opened) == []


def test_a_card_needs_a_reason(opened: Opened) -> None:
    with pytest.raises(PriceFileError, match=r"line 1 \(model m-1\).reason: is missing"):
        opened.import_cards(card(), reason=" ")
    opened.import_cards(card(reason="in the file"), reason=None)


def test_an_overlap_with_a_kept_card_is_refused_and_one_in_turn_is_not(opened: Opened) -> None:
    opened.import_cards(card(effective_until="2026-12-01"))
    with pytest.raises(PriceFileError, match="overlaps card 'house:m-1'"):
        opened.import_cards(card(start="2026-11-30", name="next"))
    opened.import_cards(card(start="2026-12-01", name="next"))
    # Another tier, region or a less literal model is another scope.
    opened.import_cards(
        card(service_tier="batch")
        + card(region="eu")
        + card("m-*")
        + card("m-?", start="2020-01-01")
    )
    assert len(versions(opened)) == 6


def test_names_are_made_of_whom_a_card_is_for(opened: Opened) -> None:
    done = opened.import_cards(
        card("org/m@1+x") + card("org-m@1-x") + card("y" * 300)
        + card(region="eu-*") + card(service_tier="eu-*")
    )  # fmt: skip
    names = [one.split("/")[1] for one in done["documents"]]
    assert names[0].startswith("house:org-m@1-x.")
    assert names[1] == "house:org-m@1-x"
    assert len(names[2]) < 200
    assert names[3:] == ["house:m-1@eu-*", "house:m-1:eu-*"]
    assert len(set(names)) == 5
    assert opened.import_cards(card("org/m@1+x"))["counts"]["unchanged"] == 1


def test_a_card_of_the_settings_that_is_passed_over_is_said(opened: Opened) -> None:
    house = opened.house
    house.settle(
        house.config_path.read_text() + '[[prices]]\nprovider = "house"\nmodel = "m-1"\n'
        "effective_from = 2020-01-01\ninput = 5\n"
    )
    assert opened.import_cards(card())["passed_over"] == ["prices[0] (model m-1)"]
    found = opened.ask("check", since="2026-11-01")
    first = found["rows"][0]
    assert (first["severity"], first["finding"]) == ("warning", "contradiction")
    assert first["card"] == "prices[0] (model m-1)"


dates = st.integers(1, 28).map(lambda day: f"2026-11-{day:02d}")
some_cards = st.lists(
    st.tuples(
        st.sampled_from(["m-1", "m-2", "m-*"]), dates, st.integers(0, 5),
        st.none() | st.integers(1, 28).map(lambda day: f"2026-12-{day:02d}"),
    ),
    min_size=1, max_size=5, unique_by=lambda one: one[:2],
)  # fmt: skip


def _file(cards: list[tuple[str, str, int, str | None]]) -> str:
    return "".join(
        card(
            model, start, f"input = {usd}", **({} if until is None else {"effective_until": until})
        )
        for model, start, usd, until in cards
    )


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.lists(some_cards, min_size=1, max_size=3))
def test_importing_again_changes_nothing(
    opened: Opened, files: list[list[tuple[str, str, int, str | None]]]
) -> None:
    """Whatever was imported before, a file that was just imported has nothing new to say."""
    for cards in files:
        opened.import_cards(_file(cards))
        before = versions(opened)
        again = opened.import_cards(_file(cards))
        assert again["documents"] == []
        assert again["counts"]["unchanged"] == len(cards)
        assert versions(opened) == before


def test_withdrawing_ends_a_card_and_a_new_version_begins_it_anew(opened: Opened) -> None:
    opened.import_cards(card())
    ended = opened.ask("withdraw", card="house:m-1", since="2026-12-01", reason="over")
    assert ended["documents"] == ["price_card/house:m-1/2"]
    at = {"provider": "house", "model": "m-1"}
    assert opened.ask("show", **at, at="2026-11-30")["cards"]
    assert opened.ask("show", **at, at="2026-12-01")["cards"] == []
    opened.import_cards(card(start="2027-01-01", prices="input = 3"))
    (rates, *_) = opened.ask("show", **at, at="2027-01-02")["rows"]
    assert rates["usd"] == "3"
    with pytest.raises(QueryError, match="no card 'x'"):
        opened.ask("withdraw", card="x", since="2026-12-01", reason="over")


def test_diff_of_moments_versions_and_models(opened: Opened) -> None:
    opened.import_cards(card(prices="input = 2\noutput = 8"))
    known = clock.utc_now().isoformat()
    opened.import_cards(card(start="2026-12-01", prices="input = 3\noutput = 8"))
    moments = {"since": "2026-11-05", "until": "2026-12-05"}
    assert opened.ask("diff", **moments)["rows"] == [
        {"card": "house:m-1", "field": "input", "before": "2", "after": "3", "change_percent": "50"}
    ]
    assert opened.ask("diff", card="house:m-1", versions="1..2")["rows"][0]["after"] == "3"
    of_model = opened.ask("diff", **moments, provider="house", model="m-1")["rows"]
    assert {row["change_percent"] for row in of_model} == {"50"}
    assert of_model[0]["field"] == "uncached_input_tokens"
    # As the books were known before the second import, December was as November.
    as_known = opened.ask("diff", **moments, known_since=known, known_until=known)
    assert as_known["rows"] == []
    model = {"provider": "house", "model": "m-1"}
    later = opened.ask("diff", since="2026-12-05", until="2026-12-05", known_since=known, **model)
    assert {row["before"] for row in later["rows"]} == {"2"}
    assert opened.ask("show", **model, at="2026-12-05", known=known)["rows"][0]["usd"] == "2"
    for wrong, problem in (
        ({}, "give two moments"), ({"card": "x"}, "expected --card NAME and --versions"),
        ({"card": "house:m-1", "versions": "1..9"}, "no version 9"),
        ({"since": "2026-11-01", "model": "m-1"}, "give both --provider and --model"),
        ({"since": "x"}, "is not a time"),
    ):  # fmt: skip
        with pytest.raises(QueryError, match=problem):
            opened.ask("diff", **wrong)


amounts = st.decimals(min_value=0, max_value=9, places=4)
fields = st.dictionaries(
    st.sampled_from(["input", "output", "cache_read"]), amounts | st.just("x"), max_size=3
)


@given(fields, fields)
def test_a_diff_with_itself_is_empty_and_one_with_another_names_all_that_differs(
    one: dict[str, Decimal | str], other: dict[str, Decimal | str]
) -> None:
    assert changes(dict(one), dict(one)) == []
    named = {row["field"] for row in changes(dict(one), dict(other))}
    assert named == {name for name in {*one, *other} if one.get(name) != other.get(name)}


def test_a_change_is_in_per_cent_of_what_was() -> None:
    from fractions import Fraction  # noqa: PLC0415 -- one test

    assert change_percent(Fraction(3), Fraction(4)) == "33.3333"
    assert change_percent(Fraction(0), Fraction(4)) is None
    assert change_percent("EUR", Fraction(4)) is None
    assert decimal_text(Fraction(1, 8)) == "0.125"


def test_an_export_is_taken_back(opened: Opened, tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.pricebook.conftest import House  # noqa: PLC0415 -- a second one

    from tollbook.reports.tabular import csv_text  # noqa: PLC0415 -- one test

    opened.import_cards(
        card(prices='input = 1\noutput = 2\ncurrency = "EUR"\ndiscounts_percent = [10, 5]\n'
             "minimum_per_request = 0.5\n[[prices.steps]]\nabove = 7\ninput = 2\noutput = 3")
        + card("m-2", service_tier="batch", region="eu")
    )  # fmt: skip
    rows = opened.ask("export", at="2026-11-05")["rows"]
    text = csv_text(rows, list(rows[0]))
    with House(tmp_path_factory.mktemp("other")).open() as other:
        done = other.import_cards(text, "cards.csv", reason=None)
        assert done["counts"]["new"] == 2
        assert other.ask("export", at="2026-11-05")["rows"] == rows
        bodies = [
            [one.body for one in document_history(each.files.books, Subject.PRICE_CARD)]
            for each in (opened, other)
        ]
        assert bodies[0] == bodies[1]


FX = "date,currency,usd_per_unit\n2026-11-06,EUR,1.08\n2026-11-09,EUR,1.09\n"


def _fx(opened: Opened, text: str = FX, **given_options: Any) -> dict[str, Any]:
    return opened.ask("fx_import", file="fx.csv", text=text, reason="ECB", **given_options)


def test_exchange_rates_are_kept_once_and_carried_only_when_asked(opened: Opened) -> None:
    shown = _fx(opened, dry_run=True)
    assert (len(shown["rows"]), shown["documents"]) == (2, [])
    assert _fx(opened)["documents"] == ["fx_rates/EUR:2026/1"]
    assert _fx(opened)["documents"] == []
    assert _fx(opened)["unchanged"] == 2
    carried = _fx(opened, carry_days=2)
    assert [row["date"] for row in carried["rows"]] == [
        "2026-11-07", "2026-11-08", "2026-11-10", "2026-11-11",
    ]  # fmt: skip
    assert all(row["carried"] for row in carried["rows"])
    # A quote of its own takes the place of one that was carried, and says so.
    own = _fx(opened, "date,currency,usd_per_unit\n2026-11-07,EUR,1.07\n")
    assert own["rows"] == [
        {"currency": "EUR", "date": "2026-11-07", "before": "1.08", "after": "1.07",
         "carried": False}
    ]  # fmt: skip
    listed = opened.ask("fx", currency="EUR", since="2026-11-07", until="2026-11-09")["rows"]
    assert [(row["date"], row["usd_per_unit"], row["carried"]) for row in listed] == [
        ("2026-11-07", "1.07", False), ("2026-11-08", "1.08", True),
    ]  # fmt: skip
    assert opened.ask("fx", currency="GBP")["rows"] == []
    with pytest.raises(QueryError, match="--carry-days"):
        _fx(opened, carry_days=11)
    with pytest.raises(PriceFileError, match="reason: is missing"):
        opened.ask("fx_import", file="fx.csv", text=FX, reason=" ")


def test_versions_checked_against_what_is_no_longer_all_are_not_kept(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        mark = documents_mark(books)
        fields_: dict[str, Any] = {"effective_from_ns": 5, "reason": "r", "body": "{}"}
        put_document(books, Subject.PRICE_CARD, "a", **fields_)
        assert documents_mark(books) > mark
        drafts = [Draft(subject=Subject.PRICE_CARD, name=name, **fields_) for name in "bc"]
        with pytest.raises(DocumentsChangedError):
            put_documents(books, drafts, mark=mark)
        assert len(document_history(books, Subject.PRICE_CARD)) == 1
        kept = put_documents(books, drafts, mark=documents_mark(books))
        assert [is_new for _, is_new in kept] == [True, True]


def test_a_provider_that_is_not_in_the_settings_is_named(opened: Opened) -> None:
    with pytest.raises(ConfigError, match=r"no provider 'nobody'; expected one of .*house"):
        opened.import_cards(card().replace('"house"', '"nobody"'))
    with pytest.raises(QueryError, match="--provider: 'nobody' is not in the settings"):
        opened.ask("show", provider="nobody", model="m")
    with pytest.raises(QueryError, match="give both --provider and --model"):
        opened.ask("show", provider="house")
