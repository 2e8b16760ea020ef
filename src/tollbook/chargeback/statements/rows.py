"""Statements and lines to rows of the books, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tollbook.chargeback.statements.model import (
    Basis,
    Category,
    Finality,
    Statement,
    StatementLine,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

_WORDS: Final = (
    "project", "api_key", "model", "kind", "tier", "region", "context_window", "requests",
    "currency", "description", "start_ns", "end_ns",
)  # fmt: skip
_KEPT: Final = (
    "statement_id", "provider", "account", "source", "scope", "start_ns", "end_ns", "currency",
    "invoice_id", "received_by", "file_name", "raw_sha256", "raw_bytes", "lines",
)  # fmt: skip


def line_row(
    load_id: str, number: int, line: StatementLine, span: tuple[int, int]
) -> dict[str, Any]:
    """Return the row of a line.

    Args:
        load_id: what it is loaded under.
        number: its place in the statement, from 1.
        line: the line.
        span: what its statement covers. A line outside of it (usage of an earlier month on this
            month's bill) is anchored at the edge, so that it stays or goes with its statement.
    """
    return {
        "load_id": load_id,
        "line": number,
        "anchor_ns": min(max(line.start_ns, span[0]), span[1] - 1),
        "category": line.category.value,
        "quantity": _text(line.quantity),
        "amount": _text(line.amount),
        "amount_in_currency": _text(line.amount_in_currency),
        "tags": msgspec.json.encode(line.tags).decode() if line.tags else None,
        **{name: getattr(line, name) for name in _WORDS},
    }


def line_of(statement: Statement, row: sa.Row[Any]) -> StatementLine:
    """Return the line of a row."""
    return StatementLine(
        statement_id=statement.statement_id, line=row.line, provider=statement.provider,
        account=statement.account, category=Category(row.category), quantity=_int(row.quantity),
        amount=_int(row.amount), amount_in_currency=_int(row.amount_in_currency),
        tags=msgspec.json.decode(row.tags, type=dict[str, str]) if row.tags else {},
        **{name: getattr(row, name) for name in _WORDS},
    )  # fmt: skip


def statement_row(statement: Statement) -> dict[str, Any]:
    """Return the row of a statement, but for what is known of its lines."""
    return {
        **{name: getattr(statement, name) for name in _KEPT},
        "basis": statement.basis.value,
        "finality": statement.finality.value,
        "problems": msgspec.json.encode(statement.problems).decode(),
    }


def statement_of(
    row: sa.Row[Any], *, fetched_at_ns: int, received_at_ns: int, is_final: bool
) -> Statement:
    """Return the statement of a row, with what was said of it since."""
    return Statement(
        basis=Basis(row.basis), fetched_at_ns=fetched_at_ns, received_at_ns=received_at_ns,
        finality=Finality.FINAL if is_final else Finality.PROVISIONAL,
        problems=tuple(msgspec.json.decode(row.problems, type=list[str])),
        **{name: getattr(row, name) for name in _KEPT},
    )  # fmt: skip


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)
