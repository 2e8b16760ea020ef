"""Statements of tenants and cost centres: they add up, are safe to open, and prove each line."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl  # type: ignore[import-untyped] # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader
from tests.focus.kit import OCTOBER, World, fill, invoice, make_world

from tollbook.chargeback.allocate.shelf import AllocationLine, keep_allocation
from tollbook.chargeback.cents import round_cents
from tollbook.chargeback.invoices import extras, fonts
from tollbook.chargeback.invoices.content import Price, Sources, content_of
from tollbook.chargeback.invoices.evidence import NoLineError
from tollbook.chargeback.invoices.export import NobodyError, file_name
from tollbook.chargeback.invoices.lines import Line, parse_line_id
from tollbook.chargeback.invoices.operations import OPERATIONS
from tollbook.chargeback.periods import Period
from tollbook.chargeback.periods.period import PeriodNameError
from tollbook.chargeback.statements.model import Category
from tollbook.console.finance import carry_out
from tollbook.reports.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_NAME = {one.name: one for one in OPERATIONS}
_MONTH = "2026-10"
_EVIL = "=HYPERLINK(1)"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with make_world(tmp_path) as made:
        fill(made)
        yield made


def _ask(world: World, operation: str, **given_: Any) -> dict[str, Any]:
    return carry_out(_BY_NAME[operation], world.desk, given_)


def _export(world: World, **given_: Any) -> tuple[dict[str, Any], Path]:
    answer = _ask(world, "invoices.export", period=_MONTH, **given_)
    return answer, Path(answer["directory"])


def _csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def _total(world: World, column: str = "cost_usd") -> Decimal:
    # September closed with one call; everything else belongs to October as billed.
    ((found,),) = world.ledger.reader.fetch(f"SELECT sum({column}) FROM entries WHERE entry_id > 1")
    return Decimal(found)


@pytest.mark.parametrize("by", ["tenant", "cost_center"])
def test_all_statements_add_up_to_the_period(world: World, by: str) -> None:
    answer, directory = _export(world, everybody=True, by=by, files="csv")
    index = _csv(directory / "index.csv")
    exact = Decimal(0)
    for row in index:
        lines = _csv(directory / row["file"])
        assert sum(Decimal(one["amount_usd"] or 0) for one in lines) == Decimal(row["total_usd"])
        exact += sum(Decimal(one["amount_exact"] or 0) for one in lines)
        assert {one["line_id"] for one in lines if parse_line_id(one["line_id"]) is None} == set()
    assert exact == _total(world) == Decimal(answer["totals"]["exact_usd"])
    assert answer["totals"]["statements"] == len(index)
    assert answer["completeness"]["unpriced"]["calls"] == 1
    assert answer["last_entry_id"] > 1


def test_a_statement_says_what_it_is_made_of(world: World) -> None:
    answer = _ask(world, "invoices.lines", period=_MONTH, owner="acme")
    summary = {row["what"]: Decimal(row["amount_usd"]) for row in answer["summary"]}
    assert summary["Corrections of 2026-09"] == Decimal("0.00")
    assert summary["Shared costs, allocated"] == 30
    assert summary["Total"] == sum(v for name, v in summary.items() if name != "Total")
    assert sum(Decimal(row["amount_usd"] or 0) for row in answer["days"]) == summary["Total"]
    unpriced = [row for row in answer["rows"] if row["calls_without_price"]]
    assert [row["amount_usd"] for row in unpriced] == [None]
    late = [row for row in answer["rows"] if row["section"] == "correction"]
    assert {row["original_period"] for row in late} == {"2026-09"}


def test_the_month_before_is_compared(world: World) -> None:
    answer = _ask(world, "invoices.lines", period=_MONTH, owner="globex")
    summary = {row["what"]: Decimal(row["amount_usd"]) for row in answer["summary"]}
    assert summary["Total 2026-09"] + summary["Change"] == summary["Total"]


@pytest.mark.parametrize(
    ("owner", "section"),
    [("acme", "usage"), ("acme", "correction"), ("globex", "allocation"), ("unknown", "day"),
     ("unknown", "adjustment")],
)  # fmt: skip
def test_entries_of_a_line_add_up_to_it(world: World, owner: str, section: str) -> None:
    answer = _ask(world, "invoices.lines", period=_MONTH, owner=owner)
    some = [row for row in answer["rows"] if row["section"] == section]
    for row in answer["days"][-1:] if section == "day" else some[-2:]:
        proof = _ask(world, "invoices.evidence", line_id=row["line_id"])
        listed = sum(Decimal(one["cost_usd"] or 0) for one in proof["rows"])
        assert listed == Decimal(row["amount_exact"] or 0)
        assert Decimal(proof["totals"]["cost_usd"] or 0) == listed
        assert proof["totals"]["entries"] == len(proof["rows"]) > 0
        assert proof["totals"]["calls"] == row["calls"]
        assert all("call_id" in one and "called_at" in one for one in proof["rows"])


def test_evidence_pages_and_holds_still(world: World) -> None:
    answer = _ask(world, "invoices.lines", period=_MONTH, owner="acme")
    line = next(row for row in answer["days"] if row["calls"] > 1)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = _ask(world, "invoices.evidence", line_id=line["line_id"], after=after, limit=2)
        seen += [row["entry_id"] for row in page["rows"]]
        after = page["next_after"]
    assert len(seen) == len(set(seen)) == page["totals"]["entries"]
    world.ledger.add(world.call(OCTOBER + timedelta(days=4, hours=5)))
    later = _ask(world, "invoices.evidence", line_id=line["line_id"])
    then = _ask(
        world, "invoices.evidence", line_id=line["line_id"], upto_entry=answer["last_entry_id"]
    )
    assert later["totals"]["entries"] == len(seen) + 1
    assert then["totals"]["entries"] == len(seen)


def test_evidence_leads_to_the_providers_lines(world: World) -> None:
    invoice(world.desk.books, {Category.USAGE: "12.34", Category.TAX: "1"}, statement_id="st-77")
    answer = _ask(world, "invoices.lines", period=_MONTH, owner="initech")
    (line,) = answer["rows"]
    proof = _ask(world, "invoices.evidence", line_id=line["line_id"])
    assert [(one["basis"], one["statement_id"], one["line"]) for one in proof["provider_lines"]] \
        == [("invoice", "st-77", 1), ("invoice", "st-77", 2)]  # fmt: skip
    assert proof["provider_lines"][0]["invoice_id"] == "INV-1"


@pytest.mark.parametrize(
    "text", ["", "x", "2026-10", "2026-10-tl-xyz", "2026-13-tl-0123456789abcdef",
             "2026-10-zz-0123456789abcdef", "2026-10-tl-0123456789abcdef"],
)  # fmt: skip
def test_a_line_that_is_none_is_told(world: World, text: str) -> None:
    with pytest.raises((NoLineError, PeriodNameError)) as told:
        _ask(world, "invoices.evidence", line_id=text)
    assert "\n" not in str(told.value)


def test_line_ids_are_the_same_whenever_a_statement_is_made(world: World) -> None:
    first = _ask(world, "invoices.lines", period=_MONTH, owner="acme")
    world.ledger.add(world.call(OCTOBER + timedelta(days=4), feature="other"))
    again = _ask(world, "invoices.lines", period=_MONTH, owner="acme", price="both")
    before = {row["line_id"] for row in first["rows"]}
    after = {row["line_id"] for row in again["rows"]}
    assert before < after
    assert len(after) == len(before) + 1


def test_what_is_charged_and_what_it_cost(world: World) -> None:
    world.ledger.add(
        world.call(OCTOBER, tenant_id="paid", billable_usd=Decimal("1.005")),
        world.call(OCTOBER, tenant_id="paid", feature="x", billable_usd=Decimal("1.005")),
        world.adjustment(OCTOBER, "billing", "0", tenant_id="paid", billable_usd=Decimal("-0.5")),
        world.adjustment(OCTOBER, "allocation", "3", tenant_id="paid"),
    )
    shown = _ask(world, "invoices.lines", period=_MONTH, owner="paid", price="billable")
    assert shown["total_usd"] == "1.51"
    assert shown["exact_usd"] == "1.510000000000"
    assert {row["section"] for row in shown["rows"]} == {"usage", "adjustment"}
    assert all(row["cost_usd"] is None for row in shown["rows"])
    both = _ask(world, "invoices.lines", period=_MONTH, owner="paid", price="both")
    allocated = next(row for row in both["rows"] if row["section"] == "allocation")
    assert (allocated["amount_usd"], allocated["cost_usd"]) == (None, "3.00")


def _with_evil(world: World) -> None:
    world.ledger.add(
        world.call(OCTOBER, tenant_id=_EVIL, feature="+1", cost_usd=Decimal("-2.5")),
        world.call(OCTOBER + timedelta(days=1), tenant_id=_EVIL, feature="@x\t"),
    )


def test_csv_cells_are_safe_and_numbers_are_untouched(world: World) -> None:
    _with_evil(world)
    answer, directory = _export(world, owner=_EVIL, files="csv")
    name = next(row["name"] for row in answer["rows"] if row["dataset"] == "statement")
    rows = _csv(directory / name)
    assert {row["tenant"] for row in rows} == {f"'{_EVIL}"}
    assert {row["feature"] for row in rows} == {"'+1", "'@x\t"}
    assert "-2.50" in {row["amount_usd"] for row in rows}


def test_workbook_has_numbers_text_and_only_our_formulas(world: World) -> None:
    _with_evil(world)
    answer, directory = _export(world, owner=_EVIL)
    name = next(row["name"] for row in answer["rows"] if row["dataset"] == "statement")
    book = openpyxl.load_workbook(directory / name)
    formulas = [
        str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row
        if cell.data_type == "f"
    ]  # fmt: skip
    assert formulas
    assert all(one.startswith("=SUM(") for one in formulas)
    sheet = book["Lines"]
    assert sheet.freeze_panes == "A2"
    heads = [cell.value for cell in sheet[1]]
    row = dict(zip(heads, sheet[2], strict=True))
    assert row["tenant"].value == _EVIL
    assert row["tenant"].data_type == "s"
    assert row["calls"].data_type == row["amount usd"].data_type == "n"
    shown = openpyxl.load_workbook(directory / name, data_only=True)["Lines"]
    column = heads.index("amount usd")
    values = [line[column] for line in shown.iter_rows(min_row=2, values_only=True)]
    assert values[-1] == pytest.approx(sum(one or 0 for one in values[:-1]))


def test_pdf_has_numbered_pages_and_every_name(world: World) -> None:
    names = ["Größe & <b>Söhne</b>", "日本電気株式会社", "Москва"]
    world.ledger.add(
        *(world.call(OCTOBER, tenant_id="acme", feature=f"{name} {at}")
          for name in names for at in range(14))
    )  # fmt: skip
    answer, directory = _export(world, owner="acme", files="pdf")
    name = next(row["name"] for row in answer["rows"] if row["dataset"] == "statement")
    reader = PdfReader(directory / name)
    pages = [page.extract_text() for page in reader.pages]
    assert len(pages) > 1
    for number, text in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in text
    whole = "\n".join(pages)
    assert "Tenant: acme" in pages[1]
    assert "Größe & <b>Söhne</b> 3" in whole
    assert "Москва 13" in whole
    assert "the reader's own fonts" in whole
    assert "Complete until" in whole
    assert "?" not in whole.replace("are shown as ?", "")


def test_what_no_font_has_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    used = fonts.Fonts(places=())
    text = used.markup("a<b> \U0001f600 Москва שלום")
    assert text.startswith("a&lt;b&gt; ? ")
    notes = " ".join(used.notes())
    assert "U+041C" in notes
    assert "right to left" in notes
    assert "XLSX" in notes
    assert not fonts.Fonts(places=()).notes()
    monkeypatch.setattr(extras, "import_module", _missing)
    with pytest.raises(extras.MissingPackageError, match=r"tollbook\[finance\]"):
        extras.extra("reportlab.platypus", "PDF")


def _missing(name: str) -> None:
    raise ImportError(name)


def test_allocations_are_told_with_their_method(world: World) -> None:
    named = {"rule": "gateway", "method": "proportional", "provider": "internal"}
    lines = [
        AllocationLine(role="origin", tenant="platform", amount=-(10**12), **named),
        AllocationLine(role="share", tenant="acme", amount=10**12, ratio="0.600000000000",
                       unit="calls", quantity="12", **named),
    ]  # fmt: skip
    keep_allocation(
        world.desk.books, "run-1", _MONTH, 1, policy_id="allocation_policy/main/3",
        documents=[], lines=lines, problems=[], booked=0, author="ada",
    )  # fmt: skip
    answer, directory = _export(world, owner="acme")
    name = next(row["name"] for row in answer["rows"] if row["dataset"] == "statement")
    sheet = openpyxl.load_workbook(directory / name)["Allocation"]
    heads, row = list(sheet.iter_rows(values_only=True))[:2]
    told = dict(zip(heads, row, strict=True))
    assert told["method"] == "proportional"
    assert told["ratio"] == "0.600000000000"
    assert told["policy"] == "allocation_policy/main/3#gateway"


def test_an_archive_holds_all_files(world: World) -> None:
    answer, directory = _export(world, everybody=True, files="csv", zipped=True)
    assert [row["name"] for row in answer["rows"]] == [f"statements-{_MONTH}.zip"]
    assert {one.name for one in directory.iterdir()} == {
        f"statements-{_MONTH}.zip", "manifest.json",
    }  # fmt: skip
    with zipfile.ZipFile(directory / f"statements-{_MONTH}.zip") as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert "index.csv" in names
    assert len(names) == answer["totals"]["statements"] + 1


def test_two_hundred_tenants_in_one_go(world: World) -> None:
    names = [f"tenant-{at:03d}" for at in range(200)]
    world.ledger.add(*(world.call(OCTOBER, tenant_id=name) for name in names))
    seen: list[tuple[int, int | None]] = []
    desk = world.desk._replace(progress=lambda done, whole: seen.append((done, whole)))
    given_ = {"period": _MONTH, "everybody": True, "files": "csv"}
    answer = carry_out(_BY_NAME["invoices.export"], desk, given_)
    count = answer["totals"]["statements"]
    assert count >= 200
    assert seen[-1] == (count, count)
    assert len({row["name"] for row in answer["rows"]}) == count + 1


def test_nobody_and_everybody_are_asked_for_apart(world: World) -> None:
    for given_ in ({}, {"owner": "acme", "everybody": True}):
        with pytest.raises(QueryError, match="--all"):
            _export(world, **given_)
    with pytest.raises(NobodyError, match="nobody-here"):
        _export(world, owner="nobody-here")


@given(st.lists(st.text(max_size=12), unique=True, max_size=8))
def test_file_names_are_plain_and_differ(owners: list[str]) -> None:
    taken: set[str] = set()
    names = [file_name(one, "2026-10", "pdf", taken) for one in owners]
    assert len({name.lower() for name in names}) == len(owners)
    assert all(name.isascii() and "/" not in name and not name.startswith(".") for name in names)


_amounts = st.none() | st.integers(-(10**16), 10**16)
_lines = st.lists(
    st.builds(
        Line, line_id=st.just("2026-10-tl-0123456789abcdef"), what=st.just("calls"),
        by=st.just("tenant"), owner=st.just("acme"),
        section=st.sampled_from(["usage", "correction", "allocation", "adjustment"]),
        key=st.just(()), original_period=st.sampled_from(["2026-09", "2026-10"]),
        calls=st.integers(0, 3), calls_without_cost=st.just(0), input_tokens=st.just(0),
        output_tokens=st.just(0), cost=_amounts, billable=_amounts,
    ),
    min_size=1, max_size=30,
)  # fmt: skip


@given(_lines, st.sampled_from(["cost", "billable", "both"]))
def test_any_lines_foot_in_cents(lines: list[Line], price: Price) -> None:
    sources = Sources(
        Period(_MONTH), "tenant", price, {"acme": lines}, {"acme": lines}, {}, {}, {}, {}
    )
    content = content_of(sources, "acme")
    amounts = [one.cost if price == "cost" else one.billable for one in lines]
    assert content.exact == sum(one or 0 for one in amounts)
    assert content.total == round_cents(content.exact)
    assert sum(one.amount or 0 for one in content.lines) == content.total
    assert sum(cents for _, cents in content.summary) == content.total
    for one in content.lines:
        exact = one.line.cost if price == "cost" else one.line.billable
        assert (one.amount is None) == (exact is None)
        assert one.amount is None or abs(one.amount * 10**10 - (exact or 0)) < 10**10
