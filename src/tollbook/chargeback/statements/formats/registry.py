"""All formats, and which of them a file is, by what is in it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from tollbook.chargeback.statements.errors import StatementFileError
from tollbook.chargeback.statements.formats import (
    anthropic,
    aws,
    azure,
    focus,
    gcp,
    openai,
    openrouter,
)
from tollbook.chargeback.statements.formats.base import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tollbook.chargeback.statements.formats.base import Format
    from tollbook.chargeback.statements.rows_in import Row

FORMATS: Final = {
    one.source: one
    for one in (
        focus.FOCUS,
        openai.USAGE,
        openai.COSTS,
        anthropic.USAGE,
        anthropic.COSTS,
        aws.CUR,
        aws.COST_EXPLORER,
        gcp.EXPORT,
        azure.EXPORT,
        azure.AMORTIZED,
        azure.QUERY,
        openrouter.ACTIVITY,
    )
}
"""In the order in which they are tried."""
HAVE_QUANTITIES: Final = frozenset(one.source for one in FORMATS.values() if one.has_quantities)
AMORTIZED_HINT: Final = "amorti"
"""In the name that Azure gives to such an export; its columns are the same."""
_ROWS_LOOKED_AT: Final = 200


def detect(rows: Iterable[Row], what: str) -> Format:
    """Return the format of rows by the names of their fields.

    Raises:
        StatementFileError: none, or it cannot be told.
    """
    names: set[str] = set()
    problem = ""
    for row in islice(rows, _ROWS_LOOKED_AT):
        if row.values is None:
            problem = problem or f" (row {row.number} {row.problem})"
            continue
        _add_names(names, row.values)
        results = row.values.get("results")
        for result in results if isinstance(results, list) else ():
            if isinstance(result, dict):
                _add_names(names, result)
        found = _matching(names)
        if found is not None:
            return found
    raise StatementFileError(
        what,
        f"is of no form that is known by its fields{problem}; say which with --as: "
        + ", ".join([*FORMATS, "csv:NAME"]),
    )


def _add_names(names: set[str], values: dict[str, Any]) -> None:
    names.update(plain_name(name) for name in values)
    inner = values.get("properties")
    if isinstance(inner, dict):
        names.update(plain_name(name) for name in inner)
    if values.get("amount_value") or isinstance(values.get("amount"), dict):
        names.add("amountvalue")
    named = str(values.get("object", ""))
    for mark in (openai.USAGE_MARK, openai.COSTS_MARK):
        if named.startswith(mark):
            names.add(mark)


def _matching(names: set[str]) -> Format | None:
    for one in FORMATS.values():
        if any(mark <= names for mark in one.marks):
            return one
    return None


def format_named(name: str) -> Format:
    """Return a format by the name of its source.

    Raises:
        StatementFileError: there is none.
    """
    found = FORMATS.get(name)
    if found is None:
        known = ", ".join([*FORMATS, "csv:NAME"])
        raise StatementFileError(f"--as {name}", f"is no format; expected one of {known}")
    return found
