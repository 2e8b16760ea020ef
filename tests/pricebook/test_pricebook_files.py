"""Files of prices: read alike in each format, refused with file, line and field."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.chargeback.pricebook.files import (
    CARDS_MAX,
    TEXT_CHARS_MAX,
    PriceFileError,
    format_of,
    read_file,
)
from tollbook.chargeback.pricebook.fxfiles import read_quotes

TOML = """
[[prices]]
provider = "openai"
model = "gpt-4o*"
effective_from = 2026-11-01
discounts_percent = [10, 5]
reason = "order form 17"

[[prices]]
name = "house"
provider = "house"
model = "m-1"
effective_from = 2026-11-01T09:00:00+01:00
input = 1.50
output = 6
[[prices.steps]]
above = 200000
input = 3
output = 9
"""
JSON = """{"prices": [
  {"provider": "openai", "model": "gpt-4o*", "effective_from": "2026-11-01",
   "discounts_percent": [10, "5"], "reason": "order form 17"},
  {"name": "house", "provider": "house", "model": "m-1",
   "effective_from": "2026-11-01T09:00:00+01:00", "input": 1.50, "output": 6,
   "steps": [{"above": 200000, "input": 3, "output": 9}]}]}"""
CSV = (
    "name,provider,model,effective_from,input,output,input_above_200000,output_above_200000,"
    "discounts_percent,reason\r\n"
    ",openai,gpt-4o*,2026-11-01,,,,,10; 5,order form 17\r\n"
    "\r\n"
    "house,house,m-1,2026-11-01T09:00:00+01:00,1.50,6,3,9,,\r\n"
)


def test_the_formats_say_the_same() -> None:
    toml, json, csv = (
        [one.card for one in read_file(f"cards.{name}", text)]
        for name, text in (("toml", TOML), ("json", JSON), ("csv", CSV))
    )
    assert toml == json == csv
    assert toml[0].discounts_percent == (Decimal(10), Decimal(5))
    assert toml[1].steps[0].output == 9
    assert toml[1].input == Decimal("1.50")
    assert read_file("prices", CSV, "csv")[1].card == csv[1]


def test_each_card_knows_its_line() -> None:
    assert [one.where for one in read_file("c.toml", TOML)] == [
        "line 2 (model gpt-4o*)", "line 9 (model m-1)",
    ]  # fmt: skip
    assert [one.where for one in read_file("c.csv", "\ufeff" + CSV)] == [
        "line 2 (model gpt-4o*)", "line 4 (model m-1)",
    ]  # fmt: skip
    assert [one.where for one in read_file("c.json", JSON)] == [
        "card 1 (model gpt-4o*)", "card 2 (model m-1)",
    ]  # fmt: skip


HEAD = '[[prices]]\nprovider = "house"\nmodel = "m"\neffective_from = 2026-11-01\n'


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("c.xml", "", "c.xml: expected a name that ends with .toml, .json or .csv"),
        ("c.toml", "", r"c.toml: has no price card; expected \[\[prices\]\]"),
        ("c.toml", "[[prices", "c.toml: is no TOML"),
        ("c.toml", "[gateway]\n", "c.toml: 'gateway' is not known here; expected nothing but"),
        ("c.toml", "prices = 3", "c.toml: prices: expected a list of cards"),
        ("c.toml", "prices = [3]", "c.toml: card 1: expected a table of fields"),
        ("c.toml", HEAD + "inptu = 1\n", r"c.toml: line 1 \(model m\).inptu: .*did you mean input"),
        ("c.toml", HEAD + 'input = "one"\n', r"line 1 \(model m\).input: expected a decimal"),
        ("c.toml", HEAD + 'withdrawn = "yes"\n', r"withdrawn: expected true or false, got text"),
        ("c.toml", '[[prices]]\nmodel = "m"\n', r"line 1 \(model m\).\w+: is missing"),
        ("c.toml", HEAD + "[[prices.steps]]\nabove = 5\nsearches = 1\n", r"steps\[\d*.*searches"),
        ("c.json", "{", "c.json: is no JSON"),
        ("c.json", "[" * 100_000, "c.json: is no JSON"),
        ("c.json", '[{"model": "a", "model": "b"}]', "c.json: 'model' is given twice"),
        ("c.csv", "model,modle\n", "c.csv: line 1.modle: no such field; did you mean model?"),
        ("c.csv", "model,model\n", "c.csv: line 1.model: is there twice"),
        ("c.csv", "model,input\na\n", "c.csv: line 2: has 1 cells; the heading has 2"),
        ("c.csv", 'model\n"a', "c.csv: line 2: is no CSV"),
        ("c.csv", "model,withdrawn\na,yes\n", r"c.csv: line 2.withdrawn: expected true or false"),
        ("c.csv", "model,images_above_5\n", "line 1.images_above_5: no such field"),
        ("c.csv", "provider,model,effective_from,input\nhouse,m,2026-11-01,1e\n",
         r"c.csv: line 2 \(model m\).input: expected a decimal number"),
        ("c.csv", "x" * (TEXT_CHARS_MAX + 1), "is longer than"),
        ("c.csv", "model\n" + "m\n" * (CARDS_MAX + 1), "has more than 5,000 cards"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where(file: str, text: str, problem: str) -> None:
    with pytest.raises(PriceFileError, match=problem) as raised:
        read_file(file, text)
    assert "\n" not in raised.value.message


@given(st.text(max_size=300), st.sampled_from(["toml", "json", "csv"]))
def test_any_text_is_cards_or_one_line(text: str, name: str) -> None:
    try:
        cards, message = read_file("f", text, name), ""
    except PriceFileError as error:
        cards, message = [], error.message
    assert bool(cards) != message.startswith("f: ")
    assert message.isprintable()


def test_a_cell_that_was_kept_from_spreadsheets_is_read_as_it_was() -> None:
    head = "provider,model,effective_from,input\n"
    (one,) = read_file("c.csv", head + "house,'@cf/meta/llama,2026-11-01,1\n")
    assert one.card.model == "@cf/meta/llama"


def test_the_name_says_the_format_unless_it_is_given() -> None:
    assert format_of("A.CSV", None) == "csv"
    assert format_of("a.csv", "json") == "json"


FX_HEAD = "date,currency,usd_per_unit\n"


def test_rates_are_read_in_any_order_of_columns() -> None:
    quotes = read_quotes("fx.csv", "currency,usd_per_unit,date\r\nEUR,1.0845,2026-11-05\r\n")
    assert quotes == {"EUR": {"2026-11-05": Decimal("1.0845")}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "fx.csv: has no rate"),
        ("date,rate\n", "line 1: expected the heading date,currency,usd_per_unit"),
        (FX_HEAD + "2026-11-05,EUR\n", "line 2: expected 3 cells"),
        (FX_HEAD + "5.11.2026,EUR,1\n", "line 2.date: '5.11.2026' is no date"),
        (FX_HEAD + "20261105,EUR,1\n", "line 2.date: expected a date such as"),
        (FX_HEAD + "1999-11-05,EUR,1\n", "line 2.date: expected a date such as"),
        (FX_HEAD + "2026-11-05,USD,1\n", "line 2.currency: 'USD' is not one such as EUR"),
        (FX_HEAD + "2026-11-05,eur,1\n", "line 2.currency: 'eur' is not one"),
        (FX_HEAD + "2026-11-05,EUR,0\n", "line 2.usd_per_unit: '0' is no rate"),
        (FX_HEAD + "2026-11-05,EUR,nan\n", "line 2.usd_per_unit: 'nan' is no rate"),
        (FX_HEAD + "2026-11-05,EUR,1001\n", "line 2.usd_per_unit: '1001' is no rate"),
        (FX_HEAD + "2026-11-05,EUR,1\n2026-11-05,EUR,2\n", "line 3: another rate of EUR on"),
        (FX_HEAD + '2026-11-05,EUR,"1', "line 2: is no CSV"),
    ],
)
def test_rates_that_cannot_be_used_say_where(text: str, problem: str) -> None:
    with pytest.raises(PriceFileError, match=problem):
        read_quotes("fx.csv", text)
