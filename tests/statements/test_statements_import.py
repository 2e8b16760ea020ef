"""Files as people have them: compressed, cut off, damaged, in other currencies, again."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook import clock
from tollbook.books.documents import Subject, put_document
from tollbook.books.events import list_events
from tollbook.chargeback.statements.amounts import NotANumberError, number, pico, whole
from tollbook.chargeback.statements.errors import StatementError, StatementFileError
from tollbook.chargeback.statements.formats.mapped import parse_mapping
from tollbook.chargeback.statements.importer import How, import_file
from tollbook.chargeback.statements.model import Basis, Category, Finality
from tollbook.chargeback.statements.moments import NotATimeError, at_ns, moment_of, month_span
from tollbook.chargeback.statements.raws import raw_of
from tollbook.chargeback.statements.rows_in import rows_in
from tollbook.chargeback.statements.shelf import current_lines, lines_of, statements
from tollbook.chargeback.statements.told import PROBLEMS_KEPT

if TYPE_CHECKING:
    from pathlib import Path

    from tollbook.books.store import Books

ALWAYS = (0, 2**62)
MAPPING = """
basis = "cost"
provider = "together"

[fields]
date = "Day"
amount = "Charge"
model = "Model"
kind = "Type"
quantity = "Tokens"
currency = "Cur"
category = "Class"

[kinds]
prompt = "uncached_input_tokens"
completion = "visible_output_tokens"

[units]
amount = "cents"
quantity = 1000
"""
HEAD = "Day,Charge,Model,Type,Tokens,Cur,Class,Team\n"


def mapped(books: Books, body: str = MAPPING) -> None:
    put_document(
        books, Subject.STATEMENT_MAPPING, "own", body, effective_from_ns=0, reason="contract"
    )


def usage(day: int, tokens: int) -> dict[str, Any]:
    start = datetime(2026, 10, day, tzinfo=UTC)
    return {
        "object": "bucket", "start_time": int(start.timestamp()),
        "end_time": int(start.timestamp()) + 86400,
        "results": [{
            "object": "organization.usage.completions.result", "input_tokens": tokens,
            "output_tokens": 0, "num_model_requests": 1, "model": "gpt-5",
        }],
    }  # fmt: skip


def test_any_csv_by_a_mapping(books: Books, tmp_path: Path) -> None:
    mapped(books)
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "2026-10-05,150.5,llama,prompt,2.5,USD,,core\n"
                    "2026-10-06,-7,llama,completion,1,USD,credit,core\n")  # fmt: skip
    ((one, _),) = import_file(books, path, How(form="csv:own"))
    assert (one.provider, one.source, one.basis) == ("together", "csv:own", Basis.COST)
    first, second = lines_of(books, one.statement_id)
    assert (first.amount, first.quantity) == (1_505_000_000_000, 2500)
    assert (first.kind, first.tags) == ("uncached_input_tokens", {"Team": "core"})
    assert (second.kind, second.category) == ("visible_output_tokens", Category.CREDIT)
    assert moment_of(one.end_ns) == datetime(2026, 10, 7, tzinfo=UTC)


def test_days_of_another_zone_and_months(books: Books, tmp_path: Path) -> None:
    mapped(books, MAPPING.replace('provider = "together"', 'provider = "x"\nzone = "Asia/Tokyo"'))
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "2026-10-05,1,m,prompt,1,USD,,\n")
    ((one, _),) = import_file(books, path, How(form="csv:own"))
    (line,) = lines_of(books, one.statement_id)
    assert moment_of(line.start_ns) == datetime(2026, 10, 4, 15, tzinfo=UTC)
    mapped(books, MAPPING.replace("date =", "month ="))
    path.write_text(HEAD + "2026-02,1,m,prompt,1,USD,,\n")
    ((one, _),) = import_file(books, path, How(form="csv:own"))
    assert (one.start_ns, one.end_ns) == month_span(at_ns("2026-02-14"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("basis", "bases"), "unknown field"),
        (('date = "Day"', 'data = "Day"'), "fields.data is none of"),
        (('date = "Day"\n', ""), "fields.date .or start, or month. is missing"),
        (('amount = "Charge"\n', "", 'quantity = "Tokens"\n', ""), "fields.amount"),
        (('provider = "together"\n', ""), "provider, and fields.provider too, is missing"),
        (("visible_output_tokens", "words"), "kinds.completion: 'words' is none of"),
        (("quantity = 1000", "quantity = 0"), "units.quantity must be 1 or more"),
        (('basis = "cost"', 'basis = "cost"\nzone = "Mars"'), "no IANA time zone"),
        (("[fields]", "[fields"), "cannot be read"),
    ],
)
def test_mappings_are_checked_whole(change: tuple[str, ...], problem: str) -> None:
    body = MAPPING
    for old, new in zip(change[::2], change[1::2], strict=True):
        body = body.replace(old, new)
    with pytest.raises(StatementError, match=problem):
        parse_mapping(body, "own")


def test_a_mapping_must_be_there(books: Books, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a,b\n1,2\n")
    with pytest.raises(StatementError, match="no mapping 'nobody'"):
        import_file(books, tmp_path / "x", How(form="csv:nobody"))
    with pytest.raises(StatementFileError, match="is no format; expected one of focus"):
        import_file(books, tmp_path / "x", How(form="excel"))


def test_other_currencies_by_the_rate_of_the_day(books: Books, tmp_path: Path) -> None:
    mapped(books)
    put_document(
        books, Subject.FX_RATES, "EUR", '{"currency":"EUR","rates":{"2026-10-05":"1.1"}}',
        effective_from_ns=0, reason="bank",
    )  # fmt: skip
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "2026-10-05,100,m,prompt,1,EUR,,\n2026-10-06,200,m,prompt,1,EUR,,\n")
    ((one, _),) = import_file(books, path, How(form="csv:own"))
    first, second = lines_of(books, one.statement_id)
    assert (first.amount, first.amount_in_currency, first.currency) == (
        1_100_000_000_000, 10**12, "EUR",
    )  # fmt: skip
    # Kept without dollars, never with those of another day.
    assert (second.amount, second.amount_in_currency) == (None, 2 * 10**12)
    assert one.problems == ("row 2, currency: no exchange rate of EUR to USD for this day",)
    assert one.currency == "EUR"


def test_what_cannot_be_read_is_told_and_the_rest_kept(books: Books, tmp_path: Path) -> None:
    mapped(books)
    path = tmp_path / "own.csv"
    path.write_text(
        HEAD + "2026-10-05,1,m,prompt,1,USD,,\n"
        '2026-10-05,"1,234.50",m,prompt,x,USD,,\n'
        "yesterday,1,m,prompt,1,USD,,\n"
        ",1,m,prompt,1,USD,,\n"
        "2026-10-05,NaN,m,prompt,1,USD,gift,\n"
        "2026-10-05,1,m\n"
    )
    ((one, _),) = import_file(books, path, How(form="csv:own"))
    assert one.problems == (
        "row 2, amount: '1,234.50' is not a number such as 1234.56",
        "row 2, quantity: 'x' is not a number such as 1234.56",
        "row 3, date: 'yesterday' is not a date or time such as 2026-10-01T00:00:00Z",
        "row 4, date: is missing",
        "row 5, amount: 'NaN' is not a number such as 1234.56",
        "row 5, category: is none of usage, purchase, tax, credit, adjustment",
        "row 6: has 3 cells, the line of names has 8",
    )
    kept = lines_of(books, one.statement_id)
    assert [line.amount for line in kept] == [10**10, None, None]


def test_problems_are_bounded(books: Books, tmp_path: Path) -> None:
    mapped(books)
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "2026-10-05,1,m,prompt,1,USD,,\n" + "never,1,m,prompt,1,USD,,\n" * 500)
    ((one, _),) = import_file(books, path, How(form="csv:own"))
    assert len(one.problems) == PROBLEMS_KEPT + 1
    assert one.problems[-1] == f"and {500 - PROBLEMS_KEPT} more problems"


def test_the_form_is_known_by_content(books: Books, tmp_path: Path) -> None:
    pages = json.dumps({"object": "page", "data": [usage(5, 100)], "has_more": False})
    more = json.dumps({"object": "page", "data": [usage(6, 7)], "has_more": False})
    pretty = json.dumps({"object": "page", "data": [usage(5, 100), usage(6, 7)]}, indent=2)
    (tmp_path / "one.csv").write_text(pretty)  # the name is wrong
    (tmp_path / "two").write_bytes(gzip.compress(f"{pages}\n\n{more}\n".encode()))
    (tmp_path / "three").write_text(f"\ufeff[{pages}, {more}]")
    table = pa.table({
        "date": ["2026-10-05", "2026-10-06"], "model": ["m", "n"], "usage": [0.1, 0.2],
        "prompt_tokens": [1, 2],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "four")
    told = {}
    for name in ("one.csv", "two", "three"):
        ((one, _),) = import_file(books, tmp_path / name)
        told[name] = [
            (line.kind, line.quantity) for line in lines_of(books, one.statement_id)
        ]  # fmt: skip
        assert (one.source, moment_of(one.end_ns).day) == ("openai.usage", 7)
    assert told["one.csv"] == told["two"] == told["three"]
    assert [q for k, q in told["two"] if k == "uncached_input_tokens"] == [100, 7]
    money, _ = import_file(books, tmp_path / "four")
    amounts = [line.amount for line in lines_of(books, money.statement.statement_id)]
    assert amounts == [10**11, 2 * 10**11]


def test_parquet_with_decimals_times_and_maps(books: Books, tmp_path: Path) -> None:
    at = datetime(2026, 10, 5, 10, tzinfo=UTC)
    table = pa.table({
        "bill_payer_account_id": ["1"], "line_item_product_code": ["AmazonBedrock"],
        "line_item_usage_type": ["USE1-NovaLite-input-tokens"],
        "line_item_usage_start_date": pa.array([at], pa.timestamp("ms", "UTC")),
        "line_item_usage_end_date": pa.array([at.replace(hour=11)], pa.timestamp("ms")),
        "line_item_unblended_cost": pa.array([Decimal("0.000600")], pa.decimal128(20, 6)),
        "line_item_usage_amount": [10.0], "pricing_unit": ["1K tokens"],
        "line_item_line_item_type": ["Usage"], "line_item_currency_code": ["USD"],
        "resource_tags": pa.array([[("user_tenant", "acme")]], pa.map_(pa.string(), pa.string())),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "cur.parquet")
    ((one, _),) = import_file(books, tmp_path / "cur.parquet")
    (line,) = lines_of(books, one.statement_id)
    assert (line.amount, line.quantity) == (600_000_000, 10_000)
    assert line.tags["user_tenant"] == "acme"
    assert moment_of(line.start_ns) == at


def test_again_changes_nothing_and_is_in_the_trail_once(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "x"
    content = json.dumps({"data": [usage(5, 100)]})
    path.write_text(content)
    ((one, first),) = import_file(books, path)
    before = current_lines(books, Basis.USAGE, *ALWAYS)
    ((_, second),) = import_file(books, path)
    assert (first, second) == (True, False)
    assert current_lines(books, Basis.USAGE, *ALWAYS) == before
    assert len(list_events(books, action="statement.imported")) == 1
    assert b"".join(raw_of(books, one.raw_sha256)) == content.encode()


def test_the_newer_file_wins_in_any_order(books: Books, tmp_path: Path) -> None:
    for name, tokens, age_s in (("new", 200, 100), ("old", 100, 5000)):
        path = tmp_path / name
        path.write_text(json.dumps({"data": [usage(5, tokens)]}))
        at = clock.unix_ns() // 10**9 - age_s
        os.utime(path, (at, at))
        import_file(books, path)
    found = current_lines(books, Basis.USAGE, *ALWAYS)
    assert [line.quantity for line in found if line.kind != "requests"] == [200]
    # Said again of a moment that is later still.
    import_file(books, tmp_path / "old", How(fetched_at_ns=clock.unix_ns()))
    found = current_lines(books, Basis.USAGE, *ALWAYS)
    assert [line.quantity for line in found if line.kind != "requests"] == [100]


def test_names_that_are_given_go_first(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(json.dumps({"data": [usage(5, 1)]}))
    how = How(provider="openai-eu", account="org-9", is_final=True, received_by="ann")
    ((one, _),) = import_file(books, path, how)
    assert (one.provider, one.account, one.received_by) == ("openai-eu", "org-9", "ann")
    assert one.finality is Finality.FINAL
    assert [s.statement_id for s in statements(books, provider="openai-eu")] == [one.statement_id]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"   \n", "is empty"),
        (b"\x1f\x8b\x08broken", "(compressed|header|unknown|end-of-stream)"),
        (b"PAR1 not really", "no Parquet"),
        (b"%PDF-1.4", "tollbook statements invoice takes it"),
        (b"a;b\n\xff\xfe;2\n", "not UTF-8"),
        (b"name,value\n1,2\n", "no form that is known"),
        (b'{"data": [', "ends within|not JSON"),
        (b'{"hello": 1}', "no form that is known"),
        (b'{"data": []}', "no form that is known"),
    ],
)
def test_files_that_are_no_statements(
    books: Books, tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(StatementFileError, match=problem) as caught:
        import_file(books, path)
    assert "\n" not in str(caught.value)
    assert statements(books) == []


def test_files_that_are_not_there(books: Books, tmp_path: Path) -> None:
    with pytest.raises(StatementFileError, match="no such file"):
        import_file(books, tmp_path / "none")


def test_a_csv_that_ends_within_a_row(books: Books, tmp_path: Path) -> None:
    mapped(books)
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "2026-10-05,1,m,prompt,1,USD,,\n2026-10-05,1,m,pro")
    ((one, _),) = import_file(books, path, How(form="csv:own"))
    assert one.lines == 1
    assert one.problems == ("row 2: has 4 cells, the line of names has 8",)


def test_a_large_file_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = json.dumps(usage(5, 1)) + "\n"
    with path.open("w") as file:
        for _ in range(40_000):
            file.write(row)
    rows = rows_in(path)
    assert next(rows).number == 1
    assert sum(1 for _ in rows) == 39_999


def test_a_long_list_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    with path.open("w") as file:
        file.write('{"object": "page",\n "data": [\n')
        file.write(",\n".join([json.dumps(usage(5, 1))] * 40_000))
        file.write("\n]}")
    assert sum(1 for _ in rows_in(path)) == 40_000


def test_an_empty_answer_says_that_nothing_was_used(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(json.dumps({"data": [usage(5, 100)]}))
    import_file(books, path, How(fetched_at_ns=10))
    empty = usage(5, 0) | {"results": []}
    path.write_text(json.dumps({"data": [empty]}))
    ((one, _),) = import_file(books, path, How(form="openai.usage", fetched_at_ns=20))
    assert one.lines == 0
    assert current_lines(books, Basis.USAGE, *ALWAYS) == []


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15))
def test_numbers_are_exact(value: Decimal) -> None:
    found = number(str(value)) if len(str(value)) < 40 else value
    assert found == value
    if value.as_tuple().exponent >= -12:  # type: ignore[operator]
        assert pico(value) == int(value * 10**12)


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_told(text: str) -> None:
    with contextlib.suppress(NotANumberError):
        assert number(text) is None or number(text) == number(str(number(text)))
    with contextlib.suppress(NotATimeError):
        assert at_ns(text) >= 0


def test_numbers_and_times_at_the_edges() -> None:
    assert pico("1e-3") == 10**9
    assert pico("") is None
    assert pico("0.0000000000005") == 0  # half to even
    assert pico("0.0000000000015") == 2
    assert whole("12.5", unit=1000) == 12_500
    assert number(0.1) == Decimal("0.1")
    for wrong in ("1,5", "1 000", "$1", "0x1", "1e999", True, "inf", "--1"):
        with pytest.raises(NotANumberError):
            number(wrong)
    assert at_ns("10/31/2026") == at_ns("2026-10-31") == at_ns(20261031)
    assert at_ns("2026-10-31 00:00:00 UTC") == at_ns("2026-10-31T02:00:00+02:00")
    assert at_ns(1_759_622_400) == at_ns("2025-10-05")
    for absent in ("31/31/2026", "2026-13-01", None, "", -5, "1969-01-01", "2300-01-01"):
        with pytest.raises(NotATimeError):
            at_ns(absent)
