"""A statement as PDF: A4, numbered pages, whose it is at the head of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.cents import cents_text
from tollbook.chargeback.invoices.content import described
from tollbook.chargeback.invoices.extras import extra
from tollbook.chargeback.invoices.fonts import Fonts
from tollbook.chargeback.invoices.told import (
    allocation_rows,
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

    from tollbook.chargeback.invoices.content import Content, Priced

LINES_MAX: Final = 5_000
"""Lines in a PDF; the rest is one line that adds them up and says where they are."""
_MM: Final = 72 / 25.4
_A4: Final = (210 * _MM, 297 * _MM)
_MARGIN: Final = 14 * _MM
_EDGE: Final = _MARGIN + 6
"""Where text begins: the frame of a page has a padding."""
_NAVY: Final = "#1F3A5F"
_GREY: Final = "#F2F4F7"
_SIZE: Final = 7.5


def _platypus() -> Any:
    return extra("reportlab.platypus", "PDF")


def _style() -> Any:
    return extra("reportlab.lib.styles", "PDF").ParagraphStyle


def write_pdf(path: Path, content: Content) -> int:
    """Write a statement and return its lines.

    Raises:
        MissingPackageError: reportlab is not installed.
    """
    document = _platypus().SimpleDocTemplate(
        str(path), pagesize=_A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN + 10,
        bottomMargin=_MARGIN + 6, title=title_of(content), author="Tollbook", invariant=1,
        subject=owner_words(content),
    )  # fmt: skip
    story = _Story(content)
    document.build(story.parts(), canvasmaker=_numbered(content))
    return len(content.lines)


class _Story:
    """Makes the parts of a document in order."""

    def __init__(self, content: Content) -> None:
        style = _style()
        self._content, self._fonts = content, Fonts()
        self._title = style("title", fontName=self._fonts.bold, fontSize=17, leading=22)
        self._head = style("head", fontName=self._fonts.bold, fontSize=10.5, leading=14,
                                    spaceBefore=12, spaceAfter=4, textColor=_NAVY)  # fmt: skip
        self._plain = style("plain", fontName=self._fonts.plain, fontSize=9, leading=12)
        self._small = style("small", fontName=self._fonts.plain, fontSize=_SIZE, leading=9.5,
                                     wordWrap="LTR", splitLongWords=True)  # fmt: skip
        self._id = style("id", parent=self._small, fontSize=5.6, leading=7)

    def parts(self) -> list[Any]:
        """Return everything, notes on fonts last because only then they are known."""
        content = self._content
        made = [
            self._words(title_of(content), self._title),
            self._words(owner_words(content), self._plain),
            _platypus().Spacer(1, 8),
            self._summary(),
            self._words("Lines", self._head),
            self._lines(),
        ]
        if content.allocations:
            made += [self._words("How shared costs were allocated", self._head), self._shares()]
        made += [self._words("By day", self._head), self._days()]
        made += [self._words("What this rests on", self._head), self._facts()]
        made += [self._words(note, self._small) for note in self._fonts.notes()]
        return made

    def _words(self, text: str, style: Any) -> Any:
        return _platypus().Paragraph(self._fonts.markup(text), style)

    def _small_words(self, text: str | None) -> Any:
        return "" if not text else self._words(text, self._small)

    def _summary(self) -> Any:
        content = self._content
        rows = [["Summary", f"Amount ({CURRENCY})"]]
        rows += [[name, _money(cents)] for name, cents in content.summary]
        rows.append(["Total", _money(content.total)])
        total = len(rows) - 1
        rows += [[name, _money(cents)] for name, cents in comparison(content)]
        return self._table(
            rows, [130, 52], numbers=1, size=9.5, more=[
                ("FONTNAME", (0, total), (-1, total), self._fonts.bold),
                ("LINEABOVE", (0, total), (-1, total), 0.8, _NAVY),
            ],
        )  # fmt: skip

    def _lines(self) -> Any:
        content = self._content
        both = content.price == "both"
        head = ["Month", "What", "Model", "Calls", "Input", "Output", f"Amount {CURRENCY}"]
        rows: list[list[Any]] = [head + ([f"Cost {CURRENCY}"] if both else [])]
        for one in content.lines[:LINES_MAX]:
            row = line_row(content, one)
            rows.append([
                row["original_period"], self._what(one), self._model(row),
                f"{row['calls']:,}", f"{row['input_tokens']:,}", f"{row['output_tokens']:,}",
                self._amount(one.amount), *([_money(one.cost)] if both else []),
            ])  # fmt: skip
        rest = content.lines[LINES_MAX:]
        if rest:
            amount = sum(one.amount or 0 for one in rest)
            words = f"{len(rest):,} further lines; the CSV and XLSX have each"
            rows.append(["", self._small_words(words), "", "", "", "", _money(amount)])
        rows.append(["", "Total", "", "", "", "", _money(content.total)])
        if both:
            costs = sum(one.cost or 0 for one in content.lines)
            rows[-1].append(_money(costs))
        widths = [14, 44, 32, 13, 20, 18, 21, 20] if both else [14, 54, 41, 13, 20, 18, 22]
        bold = [("FONTNAME", (0, -1), (-1, -1), self._fonts.bold),
                ("LINEABOVE", (0, -1), (-1, -1), 0.8, _NAVY)]  # fmt: skip
        return self._table(rows, widths, numbers=3, more=bold)

    def _amount(self, cents: int | None) -> str:
        return "no rule" if cents is None and self._content.price != "cost" else _money(cents)

    def _what(self, priced: Priced) -> list[Any]:
        one = priced.line
        words = described(one)
        if self._content.by == "cost_center":
            words = f"{one.of('tenant') or 'not attributed'}: {words}"
        feature = one.of("feature")
        if feature is not None:
            words = f"{words}, {feature}" if one.of("adjustment") else f"{feature}: {words}"
        if one.of("corrects") is not None:
            words += f" (corrects {one.of('corrects')})"
        if one.calls_without_cost:
            words += f" ({one.calls_without_cost:,} calls without a price)"
        return [self._small_words(words), self._words(one.line_id, self._id)]

    def _model(self, row: dict[str, Any]) -> Any:
        told = [row[name] for name in ("provider", "model") if row[name]]
        return self._small_words(" / ".join(told))

    def _days(self) -> Any:
        rows: list[list[Any]] = [["Day", "Line", "Calls", "Input", "Output", f"Amount {CURRENCY}"]]
        for one in self._content.days:
            row = line_row(self._content, one)
            rows.append([
                one.line.of("day"), self._words(one.line.line_id, self._id), f"{row['calls']:,}",
                f"{row['input_tokens']:,}", f"{row['output_tokens']:,}", self._amount(one.amount),
            ])  # fmt: skip
        rows.append(["", "Total", "", "", "", _money(self._content.total)])
        bold = [("FONTNAME", (0, -1), (-1, -1), self._fonts.bold),
                ("LINEABOVE", (0, -1), (-1, -1), 0.8, _NAVY)]  # fmt: skip
        return self._table(rows, [22, 54, 20, 28, 28, 30], numbers=2, more=bold)

    def _shares(self) -> Any:
        rows: list[list[Any]] = [["Rule", "Method", "Share", "Measured by", "Amount (exact)"]]
        for row in allocation_rows(self._content):
            measured = " ".join(row[name] for name in ("quantity", "unit") if row[name])
            method = f"{row['method']}, {row['policy']}"
            rows.append([
                self._small_words(row["rule"]), self._small_words(method), row["ratio"] or "",
                self._small_words(measured), row["amount_exact"],
            ])  # fmt: skip
        return self._table(rows, [34, 54, 26, 34, 34], numbers=4)

    def _facts(self) -> Any:
        rows = [[self._small_words(one.name), self._small_words(one.value)]
                for one in facts(self._content)]  # fmt: skip
        return self._table([["", ""], *rows], [36, 146], numbers=2, is_headed=False)

    def _table(
        self, rows: Sequence[Sequence[Any]], widths_mm: Sequence[int], *, numbers: int,
        size: float = _SIZE, more: Sequence[Any] = (), is_headed: bool = True,
    ) -> Any:  # fmt: skip
        kept = list(rows if is_headed else rows[1:])
        style: list[Any] = [
            ("FONTNAME", (0, 0), (-1, -1), self._fonts.plain), ("FONTSIZE", (0, 0), (-1, -1), size),
            ("VALIGN", (0, 0), (-1, -1), "TOP"), ("ALIGN", (numbers, 0), (-1, -1), "RIGHT"),
            ("TOPPADDING", (0, 0), (-1, -1), 2.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3),
            ("LINEBELOW", (0, 0), (-1, -1), 0.25, "#D0D5DD"),
        ]  # fmt: skip
        if is_headed:
            style += [
                ("BACKGROUND", (0, 0), (-1, 0), _NAVY), ("TEXTCOLOR", (0, 0), (-1, 0), "#FFFFFF"),
                ("FONTNAME", (0, 0), (-1, 0), self._fonts.bold),
                ("ROWBACKGROUNDS", (0, 1), (-1, -1), ["#FFFFFF", _GREY]),
            ]  # fmt: skip
        return _platypus().LongTable(
            kept, colWidths=[one * _MM for one in widths_mm], style=[*style, *more],
            repeatRows=1 if is_headed else 0, hAlign="LEFT",
        )  # fmt: skip


def _money(cents: int | None) -> str:
    if cents is None:
        return "unknown"
    whole, _, rest = cents_text(abs(cents)).partition(".")
    return f"{'-' if cents < 0 else ''}{int(whole):,}.{rest}"


def _numbered(content: Content) -> Any:
    """Return a canvas that knows at the end how many pages there are."""
    base: Any = extra("reportlab.pdfgen.canvas", "PDF").Canvas
    width, height = _A4
    fonts = Fonts()
    head = fonts.markup(f"{title_of(content)} · {owner_words(content)}")

    class Numbered(base):  # type: ignore[misc] # the library has no types
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 -- the library's name
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self._furniture(number)
                super().showPage()
            super().save()

        def _furniture(self, number: int) -> None:
            style = _style()("furniture", fontName=fonts.plain, fontSize=7, textColor="#667085")
            if number > 1:
                words = _platypus().Paragraph(head, style)
                words.wrapOn(self, width - 2 * _MARGIN, 20)
                words.drawOn(self, _EDGE, height - _MARGIN)
            self.setFont(fonts.plain, 7)
            self.setFillColor("#667085")
            text = f"Page {number} of {len(self._pages)}"
            self.drawRightString(width - _EDGE, _MARGIN - 8, text)
            self.drawString(_EDGE, _MARGIN - 8, f"Made {content.stamp['created_at']}")

    return Numbered
