"""Statements and lines for tests, without a file or a provider."""

from __future__ import annotations

from typing import Any, Final

from tollbook.chargeback.statements.model import Basis, Finality, Statement, StatementLine
from tollbook.chargeback.statements.raws import sha256_of
from tollbook.chargeback.statements.shelf import statement_id_of

DAY: Final = 86_400 * 10**9
USD: Final = 10**12


def make(
    first: int,
    end: int,
    fetched: int,
    amounts: dict[int, int],
    *,
    raw: bytes | None = None,
    **of: Any,
) -> tuple[Statement, list[StatementLine], bytes]:
    """Return a statement of days ``[first, end)`` with a line for each day that has an amount."""
    named: dict[str, Any] = {
        "provider": "openai", "account": None, "source": "openai.costs", "scope": None,
    }  # fmt: skip
    known = named | {name: of[name] for name in named if name in of}
    more: dict[str, Any] = {"basis": Basis.COST, "finality": Finality.PROVISIONAL}
    more |= {name: value for name, value in of.items() if name not in named}
    content = repr((first, end, sorted(amounts.items()), known)).encode() if raw is None else raw
    digest, size = sha256_of(content)
    start_ns, end_ns = first * DAY, end * DAY
    statement = Statement(
        statement_id=statement_id_of(**known, start_ns=start_ns, end_ns=end_ns, raw_sha256=digest),
        start_ns=start_ns, end_ns=end_ns, fetched_at_ns=fetched,
        received_by="test", raw_sha256=digest, raw_bytes=size, lines=0, **known, **more,
    )  # fmt: skip
    lines = [
        StatementLine(
            statement_id="", line=0, start_ns=day * DAY, end_ns=(day + 1) * DAY,
            provider=statement.provider, amount=amount,
        )
        for day, amount in sorted(amounts.items())
    ]  # fmt: skip
    return statement, lines, content
