"""A journal as files: CSV with a line for each posting, and text that beancount reads.

Both are in whole cents. Within a transaction, amounts are rounded by largest remainder, so debits
and credits are equal to the cent; the exact amount stands beside each.
"""

from __future__ import annotations

import csv
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from tollbook.chargeback.cents import cents_of, cents_text
from tollbook.chargeback.safe_cells import safe_text
from tollbook.money import usd_text
from tollbook.reports.spend import CURRENCY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from tollbook.chargeback.journal.entries import Line, Transaction
    from tollbook.chargeback.periods.period import Period

COLUMNS: Final = (
    "transaction_id", "date", "period", "original_period", "kind", "reference", "line", "account",
    "cost_center", "tenant", "provider", "text", "debit", "credit", "currency", "amount_exact",
)  # fmt: skip


def posting_date(period: Period) -> date:
    """Return the last day of a month."""
    return date.fromisoformat(f"{period.following.name}-01") - timedelta(days=1)


def rounded(one: Transaction) -> Iterator[tuple[Line, int]]:
    """Yield the lines of a transaction with their cents, which add up to zero."""
    return zip(one.lines, cents_of([line.amount for line in one.lines], 0), strict=True)


def transaction_id(one: Transaction, period: Period) -> str:
    """Return the name of a transaction, the same however often a journal is made."""
    return f"{period.name}/{one.key}"


def write_csv(out: TextIO, period: Period, made: Sequence[Transaction]) -> int:
    """Write the CSV and return its lines, without the header."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for one in made:
        for number, (line, cents) in enumerate(rounded(one), 1):
            count += 1
            texts = (line.account, line.cost_center, line.facts.tenant, line.facts.provider,
                     line.text)  # fmt: skip
            writer.writerow([
                safe_text(transaction_id(one, period)), posting_date(period), period.name,
                one.original_period, one.kind, safe_text(one.reference or ""), number,
                *(safe_text(text or "") for text in texts), *_sides(cents), CURRENCY,
                usd_text(line.amount),
            ])  # fmt: skip
    return count


def _sides(cents: int) -> tuple[str, str]:
    return (cents_text(cents), "") if cents >= 0 else ("", cents_text(-cents))


def write_beancount(
    out: TextIO, period: Period, made: Sequence[Transaction], *, opens: bool = True
) -> int:
    """Write the text that beancount reads and return its transactions.

    Args:
        out: where to.
        period: which month.
        made: its transactions.
        opens: whether accounts are opened; of several months read together only the first file
            may open an account.
    """
    day = posting_date(period)
    first = date.fromisoformat(f"{period.name}-01")
    out.write(f'option "title" {_quoted(f"LLM costs {period.name}")}\n')
    out.write(f'option "operating_currency" "{CURRENCY}"\n\n')
    if opens:
        names = sorted({line.beancount for one in made for line in one.lines})
        out.writelines(f"{first} open {name} {CURRENCY}\n" for name in names)
        out.write("\n")
    for one in made:
        out.write(f"{day} * {_quoted(_narration(one))}\n")
        out.write(f"  transaction: {_quoted(transaction_id(one, period))}\n")
        out.write(f"  original-period: {_quoted(one.original_period)}\n")
        if one.reference is not None:
            out.write(f"  reference: {_quoted(one.reference)}\n")
        out.writelines(_postings(rounded(one)))
        out.write("\n")
    return len(made)


def _postings(lines: Iterable[tuple[Line, int]]) -> Iterator[str]:
    for line, cents in lines:
        yield f"  {line.beancount}  {cents_text(cents)} {CURRENCY}\n"
        yield f"    exact: {_quoted(usd_text(line.amount))}\n"
        if line.cost_center:
            yield f"    cost-center: {_quoted(line.cost_center)}\n"
        yield f"    text: {_quoted(line.text)}\n"


def _narration(one: Transaction) -> str:
    words = f"LLM {one.kind}"
    if one.kind == "invoice":
        return f"{words} {one.reference}"
    return words if one.reference is None else f"{words} of {one.original_period}"


def _quoted(text: str) -> str:
    # A string may not break its line in the eyes of a reader who looks at the file.
    plain = "".join(one if one.isprintable() else " " for one in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
