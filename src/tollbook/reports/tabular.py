"""Report rows as CSV: exact numbers, and text that a spreadsheet does not run."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
PERCENT: Final = "_percent"
"""How the names of columns of shares end."""
_OTHER_MARKS: Final = frozenset(["is_other", "groups"])


def column_names(rows: Sequence[Mapping[str, Any]], of_none: Iterable[str] = ()) -> list[str]:
    """Return the columns of a list of rows in order, without the marks of an "other" row.

    Args:
        rows: of an answer.
        of_none: the columns where there are no rows: a file without a header is no table.
    """
    names = dict.fromkeys(name for row in rows for name in row) or of_none
    return [name for name in names if name not in _OTHER_MARKS]


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return RFC 4180 CSV with a header; unknown is an empty cell.

    A tenant may call itself ``=HYPERLINK(...)``: text that a spreadsheet would take for a formula
    gets an apostrophe before it (OWASP, CSV injection). Numbers are left as they are.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_safe(name) for name in columns])
    for row in rows:
        labelled = label_other(row, columns)
        writer.writerow([_cell(name, labelled.get(name)) for name in columns])
    return out.getvalue()


def label_other(row: Mapping[str, Any], columns: Sequence[str]) -> Mapping[str, Any]:
    """Return a row whose first cell names the groups beyond the limit, where it stands for them."""
    if not row.get("is_other"):
        return row
    return {**row, columns[0]: f"(other: {row['groups']} groups)"}


def is_number_column(name: str) -> bool:
    """Whether a text value of the column is an exact decimal number."""
    return name.endswith("_usd")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or is_number_column(name) or name.endswith(PERCENT):
        return str(value)
    return _safe(str(value))


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
