"""Statements of tenants and cost centres over the API, and the evidence of their lines."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from tollbook.chargeback.cents import cents_text
from tollbook.chargeback.filing import filed_answer
from tollbook.chargeback.invoices.content import Price, content_of
from tollbook.chargeback.invoices.evidence import (
    entries_of,
    find_line,
    line_told,
    totals_of,
    windows_of,
)
from tollbook.chargeback.invoices.export import (
    FileFormat,
    Wanted,
    export_statements,
    sources_of,
)
from tollbook.chargeback.invoices.lines import By
from tollbook.chargeback.invoices.told import comparison, line_row
from tollbook.chargeback.periods import the_period
from tollbook.desk import Desk, Operation
from tollbook.money import usd_text
from tollbook.reports.errors import QueryError

PAGE_MAX: Final = 10_000


class StatementsRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which statements to write; of one owner, or of everybody."""

    period: str
    by: By = "tenant"
    owner: str | None = None
    everybody: bool = False
    price: Price = "cost"
    files: FileFormat = "xlsx"
    zipped: bool = False


class LinesRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whose lines to show."""

    period: str
    owner: str
    by: By = "tenant"
    price: Price = "cost"


class EvidenceRequest(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The line to prove, and which page of its entries."""

    line_id: str
    after: int = 0
    """The last ``entry_id`` that was seen."""
    limit: int = 1_000
    upto_entry: int | None = None
    """``last_entry_id`` of the statement's manifest: the line as it was written then."""


def make_statements(desk: Desk, request: StatementsRequest) -> dict[str, Any]:
    """Write statements as files of an export.

    Raises:
        QueryError: neither an owner nor everybody, or both.
        NobodyError: there is nothing to state.
    """
    if (request.owner is None) != request.everybody:
        raise QueryError("--tenant", "expected a tenant or cost centre, or --all")
    period = the_period(desk.books, desk.config, request.period)
    wanted = Wanted(period, request.by, request.owner, request.price, request.files, request.zipped)
    return filed_answer(*export_statements(desk, wanted))


def show_lines(desk: Desk, request: LinesRequest) -> dict[str, Any]:
    """Return one owner's statement as JSON: lines as rows, days, summary and stamp.

    Raises:
        NobodyError: there is nothing to state.
    """
    period = the_period(desk.books, desk.config, request.period)
    sources = sources_of(desk, period, request.by, request.owner, request.price)
    content = content_of(sources, sources.owners[0])
    return {
        "rows": [line_row(content, one) for one in content.lines],
        "days": [
            line_row(content, one) | {"day": one.line.of("day")} for one in content.days
        ],
        "summary": [{"what": name, "amount_usd": cents_text(cents)}
                    for name, cents in (*content.summary, ("Total", content.total),
                                        *comparison(content))],
        "total_usd": cents_text(content.total), "exact_usd": usd_text(content.exact),
        "owner": content.owner, "price": content.price, **content.stamp,
    }  # fmt: skip


def show_evidence(desk: Desk, request: EvidenceRequest) -> dict[str, Any]:
    """Return the entries of a line, their sum, and what providers bill for that time.

    Raises:
        NoLineError: there is no such line.
    """
    if not 1 <= request.limit <= PAGE_MAX:
        raise QueryError("--limit", f"{request.limit} is not between 1 and {PAGE_MAX}")
    found = find_line(desk, request.line_id, request.upto_entry)
    rows = entries_of(desk, found, max(0, request.after), request.limit)
    windows, is_cut = windows_of(desk, found)
    return {
        "rows": rows, "line": line_told(found.line), "totals": totals_of(desk, found),
        "next_after": rows[-1]["entry_id"] if len(rows) == request.limit else None,
        "provider_lines": windows, "provider_lines_cut": is_cut, "currency": "USD",
    }  # fmt: skip


OPERATIONS: Final = (
    Operation("invoices.export", "POST", "/exports/statements", StatementsRequest,
              make_statements, "Export statements of tenants or cost centres."),
    Operation("invoices.lines", "GET", "/exports/statements", LinesRequest, show_lines,
              "Show one tenant's or cost centre's statement."),
    Operation("invoices.evidence", "GET", "/exports/evidence", EvidenceRequest, show_evidence,
              "Show the calls and the provider's billing window behind a line of a statement."),
)  # fmt: skip
