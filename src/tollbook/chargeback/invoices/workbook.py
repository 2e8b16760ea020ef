"""A statement as an XLSX workbook: numbers are numbers, text is text, sums are formulas."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.cents import cents_text
from tollbook.chargeback.invoices.extras import extra
from tollbook.chargeback.invoices.told import (
    ALLOCATION_COLUMNS,
    MONEY,
    allocation_rows,
    columns_of,
    comparison,
    facts,
    line_row,
    owner_words,
    title_of,
)
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tollbook.chargeback.invoices.content import Content

_OPTIONS: Final = {
    "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
    "in_memory": True,
}  # fmt: skip
_CELL_CHARS: Final = 32_000
_WIDTHS: Final = {
    "line_id": 31, "section": 12, "original_period": 15, "tenant": 22, "feature": 22,
    "provider": 13, "model": 30, "description": 40, "corrects": 20, "calls": 10,
    "calls_without_price": 12, "input_tokens": 15, "output_tokens": 15, "amount_usd": 14,
    "amount_exact": 22, "cost_usd": 14, "day": 12, "rule": 20, "method": 14, "role": 8,
    "ratio": 16, "quantity": 16, "unit": 12, "policy": 44,
}  # fmt: skip
_SMALL: Final = 8
_EXACT: Final = "amount_exact"
_RATIO: Final = "ratio"


def write_workbook(path: Path, content: Content) -> int:
    """Write a statement and return its lines.

    Raises:
        MissingPackageError: xlsxwriter is not installed.
    """
    with extra("xlsxwriter", "XLSX").Workbook(str(path), _OPTIONS) as book:
        book.set_properties({"title": title_of(content), "subject": owner_words(content)})
        sheets = _Sheets(book, content)
        sheets.summary()
        sheets.lines()
        sheets.days()
        sheets.allocations()
        sheets.facts()
    return len(content.lines)


class _Sheets:
    """Writes the sheets of one workbook."""

    def __init__(self, book: Any, content: Content) -> None:
        self._book, self._content = book, content
        self._title = book.add_format({"bold": True, "font_size": 15})
        self._head = book.add_format(
            {"bold": True, "bg_color": "#1F3A5F", "font_color": "#FFFFFF", "text_wrap": True,
             "valign": "top"}
        )  # fmt: skip
        self._bold = book.add_format({"bold": True})
        self._text = book.add_format({"text_wrap": True, "valign": "top"})
        self._whole = book.add_format({"num_format": "#,##0", "valign": "top"})
        self._money = book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00", "valign": "top"})
        self._sum = book.add_format(
            {"num_format": "#,##0.00;[Red]-#,##0.00", "bold": True, "top": 1}
        )
        self._sum_head = book.add_format({"bold": True, "top": 1})

    def _sheet(self, name: str, *, is_wide: bool = False) -> Any:
        sheet = self._book.add_worksheet(name)
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        if is_wide:
            sheet.set_landscape()
        sheet.set_footer("&L&A&RPage &P of &N")
        return sheet

    def summary(self) -> None:
        """What it comes to, and how that differs from the month before."""
        content, sheet = self._content, self._sheet("Statement")
        sheet.set_column(0, 0, 46)
        sheet.set_column(1, 1, 20)
        sheet.write_string(0, 0, title_of(content), self._title)
        sheet.write_string(1, 0, _cut(owner_words(content)), self._bold)
        row = 3
        sheet.write_string(row, 0, "Summary", self._head)
        sheet.write_string(row, 1, f"Amount ({CURRENCY})", self._head)
        for name, cents in content.summary:
            row += 1
            sheet.write_string(row, 0, name)
            sheet.write_number(row, 1, _dollars(cents), self._money)
        total = row + 1
        sheet.write_string(total, 0, "Total", self._sum_head)
        self._total(sheet, total, 1, 4, content.total)
        row = total + 1
        for name, cents in comparison(content):
            row += 1
            sheet.write_string(row, 0, name)
            sheet.write_number(row, 1, _dollars(cents), self._money)
        row += 2
        sheet.write_string(row, 0, "Lines, days and notes are on the other sheets.")

    def lines(self) -> None:
        """Every line."""
        names = columns_of(self._content)
        rows = [line_row(self._content, one) for one in self._content.lines]
        self._table("Lines", names, rows, is_wide=True)

    def days(self) -> None:
        """The same by day."""
        names = ["line_id", "day", "calls", "calls_without_price", "input_tokens",
                 "output_tokens", "amount_usd"]  # fmt: skip
        rows = [
            line_row(self._content, one) | {"day": one.line.of("day")}
            for one in self._content.days
        ]  # fmt: skip
        self._table("Days", names, rows)

    def allocations(self) -> None:
        """How shared costs were allocated."""
        rows = list(allocation_rows(self._content))
        if rows:
            self._table("Allocation", ALLOCATION_COLUMNS, rows, is_wide=True)

    def facts(self) -> None:
        """What the figures rest on."""
        sheet = self._sheet("About")
        sheet.set_column(0, 0, 26)
        sheet.set_column(1, 1, 90)
        for row, one in enumerate(facts(self._content)):
            sheet.write_string(row, 0, one.name, self._bold)
            sheet.write_string(row, 1, _cut(one.value), self._text)

    def _table(
        self, name: str, names: Sequence[str], rows: Sequence[dict[str, Any]], *,
        is_wide: bool = False,
    ) -> None:  # fmt: skip
        sheet = self._sheet(name, is_wide=is_wide)
        for column, head in enumerate(names):
            sheet.set_column(column, column, _WIDTHS.get(head, _SMALL))
            sheet.write_string(0, column, head.replace("_", " "), self._head)
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        for at, row in enumerate(rows, 1):
            for column, head in enumerate(names):
                self._cell(sheet, at, column, head, row.get(head))
        if rows:
            sheet.autofilter(0, 0, len(rows), len(names) - 1)
        summed = [head for head in names if head in MONEY and head != _EXACT]
        for head in summed:
            at = names.index(head)
            known = [row[head] for row in rows if row.get(head) is not None]
            sheet.write_string(len(rows) + 1, 0, "Total", self._sum_head)
            self._total(sheet, len(rows) + 1, at, 1, _cents_sum(known))

    def _cell(self, sheet: Any, row: int, column: int, head: str, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, int):
            sheet.write_number(row, column, value, self._whole)
        elif head in MONEY and head != _EXACT:
            sheet.write_number(row, column, Decimal(value), self._money)
        else:
            # Exact amounts too: a spreadsheet keeps 15 digits of a number.
            sheet.write_string(row, column, _cut(str(value)), self._text)

    def _total(self, sheet: Any, row: int, column: int, first: int, cents: int) -> None:
        """Write the sum of a column above; the value stands in it for readers that do not sum."""
        value = _dollars(cents)
        if row <= first:
            sheet.write_number(row, column, value, self._sum)
            return
        name = extra("xlsxwriter.utility", "XLSX").xl_rowcol_to_cell
        cells = f"{name(first, column)}:{name(row - 1, column)}"
        sheet.write_formula(row, column, f"=SUM({cells})", self._sum, value)


def _dollars(cents: int) -> Decimal:
    return Decimal(cents_text(cents))


def _cents_sum(amounts: Sequence[str]) -> int:
    return sum(int(Decimal(one).scaleb(2)) for one in amounts)


def _cut(text: str) -> str:
    # A cell holds 32,767 characters; control characters are not allowed in the file.
    plain = "".join(one if one.isprintable() else " " for one in text)
    return plain if len(plain) <= _CELL_CHARS else f"{plain[:_CELL_CHARS]}…"
