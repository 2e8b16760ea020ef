"""Statements and lines as rows of an answer: money as decimal text, times as ISO 8601."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollbook.chargeback.statements.invoices import shown_amount
from tollbook.chargeback.statements.moments import moment_of
from tollbook.money import usd_text

if TYPE_CHECKING:
    from tollbook.chargeback.statements.model import Statement, StatementLine

STATEMENT_TABLE = (
    "statement_id", "provider", "basis", "source", "scope", "account", "since", "until", "lines",
    "finality", "invoice_id", "fetched_at", "problems",
)  # fmt: skip
LINE_TABLE = (
    "statement_id", "line", "since", "provider", "model", "kind", "tier", "region", "category",
    "quantity", "amount_usd", "description",
)  # fmt: skip


def iso(ns: int) -> str:
    """Return a time as people and programs read it."""
    return moment_of(ns).isoformat().replace("+00:00", "Z")


def statement_row(one: Statement) -> dict[str, Any]:
    """Return a statement without its content."""
    return {
        "statement_id": one.statement_id, "provider": one.provider, "account": one.account,
        "basis": one.basis.value, "source": one.source, "scope": one.scope,
        "since": iso(one.start_ns), "until": iso(one.end_ns), "currency": one.currency,
        "finality": one.finality.value, "invoice_id": one.invoice_id, "lines": one.lines,
        "fetched_at": iso(one.fetched_at_ns),
        "received_at": None if one.received_at_ns is None else iso(one.received_at_ns),
        "received_by": one.received_by, "file_name": one.file_name,
        "raw_bytes": one.raw_bytes, "raw_sha256": one.raw_sha256, "problems": len(one.problems),
    }  # fmt: skip


def line_row(one: StatementLine) -> dict[str, Any]:
    """Return a line; what the provider did not say is None."""
    return {
        "statement_id": one.statement_id, "line": one.line, "since": iso(one.start_ns),
        "until": iso(one.end_ns), "provider": one.provider, "account": one.account,
        "project": one.project, "api_key": one.api_key, "model": one.model, "kind": one.kind,
        "tier": one.tier, "region": one.region, "context_window": one.context_window,
        "category": one.category.value, "quantity": one.quantity, "requests": one.requests,
        "amount_usd": None if one.amount is None else usd_text(one.amount),
        "currency": one.currency,
        "amount_in_currency": None
        if one.amount_in_currency is None
        else shown_amount(one.amount_in_currency),
        "description": one.description, "tags": one.tags,
    }  # fmt: skip
